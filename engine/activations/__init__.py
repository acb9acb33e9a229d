"""Activation functions, as options of layers. Names, options and defaults are Keras 3's."""
