"""What the runtime itself costs: nanoseconds of a call that does nothing, alone, shared, and in tiles.

python -m benchmarks.barriers
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from benchmarks import results
from engine.codegen import objects
from engine.codegen.builder import Code
from engine.codegen.host import host
from engine.kernels import state as run_state
from engine.kernels.call import Call
from engine.runtime.stream import Stream
from engine.runtime.threads import Workers

CALLS, STEPS, ROUNDS = 100, 2000, 7
CASES = ((1, 1), (1, 2), (2, 1), (2, 2), (2, 16))
"""Threads, and chunks of a call."""


@objects.compiled
def nothing() -> str:
    """A kernel without work."""
    return Code("nothing", host().lanes).finish()


def nanoseconds(threads: int, chunks: int) -> float:
    """Of a call, the best of a few runs. Calls of one chunk are joined, and cost no barrier."""
    entry = nothing()
    calls = [Call(entry, np.zeros(1, np.int64), chunks, "nothing") for _ in range(CALLS)]
    workers = Workers(threads)
    stream = Stream(calls, np.zeros(run_state.FIELDS, np.int64), threads)
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        workers.run(stream, STEPS)
        best = min(best, time.perf_counter() - began)
    workers.close()
    return best / CALLS / STEPS * 1e9


def main() -> int:
    """Print a line for each case."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    rows = [(str(threads), str(chunks), f"{nanoseconds(threads, chunks):.1f}") for threads, chunks in CASES]
    print(results.table(("threads", "chunks of a call", "ns of a call"), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
