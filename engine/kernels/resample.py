"""Weighted sums along one dimension: x as (outer, n, inner), a line of `inner` elements at a time.

Each element is one chain over its taps in their order. A chunk is some lines of the output.
"""

from __future__ import annotations

from itertools import accumulate
from math import prod

from engine.codegen.builder import Code
from engine.codegen.host import host
from engine.codegen.objects import compiled
from engine.kernels.call import Buffer, Call, call
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
    return [call(resample(), args, -(-lines // per_chunk), "resample")]


@compiled
def resample() -> str:
    """args: x, y, positions of x and of y, inner, lines, lines a chunk, where the pairs begin, first taps, pairs."""
    code = Code("resample", host().lanes)
    x, y = code.pointer(0), code.pointer(1)
    positions, count, inner, total, per_chunk, pairs = (code.arg(position) for position in range(2, 8))
    with code.loop(code.begin * per_chunk, (code.end * per_chunk).minimum(total)) as line:
        outer, place = line.index // count, line.index % count
        first, last = code.arg(place + TABLE), code.arg(place + (TABLE + 1))
        with code.loop(0, inner, code.lanes) as column:
            mask = code.mask(inner - column.index)
            with code.loop(first, last, carry=[code.zeros()]) as tap:
                pair = pairs + tap.index * 2
                source = code.at(x, (outer * positions + code.arg(pair)) * inner + column.index)
                share = code.ir.fmul(code.load(source, mask=mask), code.splat(code.number(pair + 1)))
                tap.carry = [code.ir.fadd(tap.values[0], share)]
            code.store(tap.values[0], code.at(y, line.index * inner + column.index), mask=mask)
    return code.finish()
