"""Losses. Names, options, defaults and formulas are Keras 3's."""
