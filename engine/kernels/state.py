"""Fields of the run's state, an int64 array that the native loop advances and kernels read."""

FIELDS = 16
STEP, CURSOR, ORDER, EPOCH, SEED, RECORD, RECORDS, RATES, STOP, BATCH = range(10)
"""STEP: optimizer updates done. CURSOR: where in the order this batch starts. ORDER, RECORDS, RATES: addresses of int64
rows, of float32 record lines, and of the float32 learning rate of each record line. RECORD: the line of this step.
STOP: not 0 ends the run before the next step. BATCH: examples a step."""
