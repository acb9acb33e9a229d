"""Ops: what a node computes.

Each says its result types, its derivative in IR ops, a numpy reference, samples, and the kernels it asks for.
"""
