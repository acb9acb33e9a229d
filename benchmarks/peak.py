"""The machine's arithmetic peak as a participant: python -m benchmarks.peak FOLDER peak THREADS

As many independent chains of fused multiply-adds as there are registers for, and nothing else, in every thread.
"""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.participant import serve, settings
from engine.codegen import objects
from engine.codegen.builder import Code
from engine.codegen.host import host

ROUNDS = 200_000
"""Rounds of a step, in each thread: about a millisecond or two."""
LANES, OUT, COUNT = range(3)
Native = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)


def chains() -> int:
    """Accumulators: all registers but those of the two operands and a few to spare."""
    return host().registers - 4


def source() -> str:
    """acc[i] = x * y + acc[i] for every chain, COUNT times."""
    code = Code("peak", host().lanes)
    x, y = (code.load(code.at(code.pointer(LANES), place * code.lanes)) for place in range(2))
    with code.loop(0, code.arg(COUNT), carry=[code.zeros()] * chains()) as turn:
        turn.carry = [code.fma(x, y, chain) for chain in turn.values]
    total = turn.values[0]
    for chain in turn.values[1:]:
        total = code.ir.fadd(total, chain)
    code.store(total, code.pointer(OUT))
    return code.finish()


class Peak:
    """A step is ROUNDS rounds in every thread."""

    granularity = 1

    def __init__(self, threads: int) -> None:
        self._function = Native(objects.load("peak", source()))
        self._pool = ThreadPoolExecutor(threads)
        self._memory = [np.zeros(3 * host().lanes, np.float32) for _ in range(threads)]
        self.flops = {"direct": 2 * host().lanes * chains() * ROUNDS * threads}

    def losses(self, steps: int) -> list[float]:
        """There are none; the kernel is loaded."""
        self.run(1)
        return []

    def run(self, steps: int) -> None:
        """Every thread does its rounds."""
        list(self._pool.map(lambda memory: self._turn(memory, steps), self._memory))

    def _turn(self, memory: np.ndarray[tuple[int], np.dtype[np.float32]], steps: int) -> None:
        out = memory.ctypes.data + 8 * host().lanes
        arguments = np.array([memory.ctypes.data, out, steps * ROUNDS], np.int64)
        self._function(arguments.ctypes.data, 0, 1)


def main() -> None:
    """Take part."""
    chosen = settings()
    serve(lambda: Peak(chosen.threads))


if __name__ == "__main__":
    main()
