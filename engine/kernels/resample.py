"""Weighted sums along one dimension: x as (outer, n, inner), a line of `inner` elements at a time.

Each element is one chain over its taps in their order. A chunk is some lines of the output.
"""

from __future__ import annotations

from itertools import accumulate
from math import prod

import numpy as np

from engine.kernels.call import Buffer, Call, call
from engine.kernels.native import compute_kernel, floats, real
from engine.lowering.request import KernelRequest

CHUNK = 8192
"""Elements to aim at in one chunk."""
TABLE = 8
"""Where the taps begin in the arguments: a line's first tap for each line and one more, then (position, weight)."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """The only function is resample."""
    (x,), (y,), axis, taps = reads, writes, request.attrs["axis"], request.attrs["taps"]
    outer, inner = prod(x.shape[:axis]), prod(x.shape[axis + 1:])
    lines = outer * len(taps)
    per_chunk = max(1, CHUNK // max(1, inner))
    pairs = [number for read in taps for place, weight in read for number in (place, float(weight))]
    args = [x.address, y.address, x.shape[axis], len(taps), inner, lines, per_chunk, TABLE + len(taps) + 1,
            *accumulate(map(len, taps), initial=0), *pairs]
    return [call(resample.address, args, -(-lines // per_chunk), "resample")]


@compute_kernel
def resample(args, begin, end):  # type: ignore[no-untyped-def]
    """args: x, y, positions of x and of y, inner, lines, lines a chunk, where the pairs begin, first taps, pairs."""
    count, inner, pairs = args[3], args[4], args[7]
    for line in range(begin * args[6], min(end * args[6], args[5])):
        outer, place = line // count, line % count
        target = floats(args[1] + 4 * line * inner, (inner,))
        first, last = args[8 + place], args[9 + place]
        if first == last:
            for index in range(inner):
                target[index] = np.float32(0.0)
        for tap in range(first, last):
            source = floats(args[0] + 4 * (outer * args[2] + args[pairs + 2 * tap]) * inner, (inner,))
            weight = np.float32(real(args[pairs + 2 * tap + 1]))
            if tap == first:
                for index in range(inner):
                    target[index] = source[index] * weight
            else:
                for index in range(inner):
                    target[index] += source[index] * weight
