"""How large a definition may be. Each limit names itself in the fault of what exceeds it."""

MAXIMUM_LAYERS = 10_000
MAXIMUM_INPUTS = 100
MAXIMUM_OUTPUTS = 100
MAXIMUM_RANK = 7
"""Dimensions of an input besides the batch."""
MAXIMUM_DEPTH = 20
"""Models inside each other."""
MAXIMUM_PARAMETERS = 2**28
"""Of a model: 1 GiB in float32."""
MAXIMUM_ELEMENTS = 2**26
"""Of one example's value at any layer: 256 MiB in float32."""
MAXIMUM_EPOCHS = 1_000_000
MAXIMUM_BATCH = 1_000_000
