"""Penalties on weights and on layers' outputs. Names, options and defaults are Keras 3's."""
