"""Optimizers: their options. Names, options and defaults are Keras 3's; how they update is the training graph's."""
