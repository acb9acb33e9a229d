"""Passes: pure functions from graph to graph, each with golden tests of the text before and after."""
