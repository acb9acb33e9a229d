"""Metrics: sums over the examples and what is made of them. Names, options, defaults and formulas are Keras 3's."""
