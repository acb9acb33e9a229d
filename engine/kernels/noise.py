"""Random masks and normal numbers. A chunk is some groups of 64 random words."""

from __future__ import annotations

import math
from math import prod

import numpy as np

from engine.kernels import philox
from engine.kernels import state as run_state
from engine.kernels.call import Buffer, Call, call
from engine.kernels.native import compute_kernel, floats, longs, real
from engine.lowering.request import KernelRequest
from engine.random import DROPOUT

GROUPS = 64
SEED, STEP = run_state.SEED, run_state.STEP
UNIT = 2.0**-24


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """`random_mask` and `random_normal`."""
    (y,), attrs = writes, request.attrs
    size, stream = prod(y.shape), DROPOUT + attrs["stream"]
    if request.function == "random_mask":
        args = [reads[-1].address, y.address, size, stream, float(np.float32(attrs["rate"])), float(attrs["kept"])]
        return [call(random_mask.address, args, -(-size // (64 * GROUPS)), "random_mask")]
    args = [reads[-1].address, y.address, size, stream, float(attrs["mean"]), float(attrs["stddev"])]
    return [call(random_normal.address, args, -(-size // (32 * GROUPS)), "random_normal")]


@compute_kernel
def random_mask(args, begin, end):  # type: ignore[no-untyped-def]
    """args: state, y, elements, stream, rate, value."""
    state, size = longs(args[0], (16,)), args[2]
    rate, kept = np.float32(real(args[4])), np.float32(real(args[5]))
    y, words = floats(args[1], (size,)), np.empty(64, np.uint32)
    for number in range(begin * GROUPS, min(end * GROUPS, (size + 63) // 64)):
        philox.group(words, number, state[SEED], args[3], state[STEP], 0)
        start = number * 64
        for index in range(min(64, size - start)):
            drawn = philox.unit(words[index])
            y[start + index] = kept if drawn >= rate else np.float32(0.0)


@compute_kernel
def random_normal(args, begin, end):  # type: ignore[no-untyped-def]
    """args: state, y, elements, stream, mean, standard deviation. Two words make one number."""
    state, size = longs(args[0], (16,)), args[2]
    mean, deviation = real(args[4]), real(args[5])
    y, words = floats(args[1], (size,)), np.empty(64, np.uint32)
    for number in range(begin * GROUPS, min(end * GROUPS, (size + 31) // 32)):
        philox.group(words, number, state[SEED], args[3], state[STEP], 0)
        start = number * 32
        for index in range(min(32, size - start)):
            first, second = words[2 * index] >> np.uint32(8), words[2 * index + 1] >> np.uint32(8)
            radius = math.sqrt(-2.0 * math.log((np.float64(first) + 1.0) * UNIT))
            drawn = radius * math.cos(2.0 * math.pi * np.float64(second) * UNIT)
            y[start + index] = np.float32(mean + deviation * drawn)
