"""Dropout: the mask is drawn again wherever it is needed, from (seed, step, layer)."""

from __future__ import annotations

from math import prod

import numpy as np

from engine.kernels import philox
from engine.kernels import state as run_state
from engine.kernels.call import Buffer, Call, call
from engine.kernels.native import compute_kernel, floats, longs, real
from engine.lowering.request import KernelRequest
from engine.random import DROPOUT

GROUPS = 64
"""Groups of 64 elements to a chunk."""
SEED, STEP = run_state.SEED, run_state.STEP
UNIT = np.float32(2.0**-24)


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """The only function is dropout."""
    x, state = reads
    size, rate = prod(x.shape), request.attrs["rate"]
    args: list[int | float] = [x.address, state.address, writes[0].address, size, float(np.float32(rate)),
                               float(np.float32(1 / (1 - rate))), DROPOUT + request.attrs["stream"]]
    return [call(dropout.address, args, -(-size // (64 * GROUPS)), "dropout")]


@compute_kernel
def dropout(args, begin, end):  # type: ignore[no-untyped-def]
    """args: x, state, y, elements, rate, scale, stream."""
    state, size = longs(args[1], (16,)), args[3]
    rate, scale = np.float32(real(args[4])), np.float32(real(args[5]))
    x, y = floats(args[0], (size,)), floats(args[2], (size,))
    words = np.empty(64, np.uint32)
    for number in range(begin * GROUPS, min(end * GROUPS, (size + 63) // 64)):
        philox.group(words, number, state[SEED], args[6], state[STEP], 0)
        start = number * 64
        for index in range(min(64, size - start)):
            drawn = np.float32(words[index] >> np.uint32(8)) * UNIT
            y[start + index] = x[start + index] * scale if drawn >= rate else np.float32(0.0)
