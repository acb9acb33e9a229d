"""Layers: what a definition is made of, one thing a file. Names, options and defaults are Keras 3's."""
