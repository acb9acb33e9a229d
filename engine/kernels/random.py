"""Dropout: the mask is drawn again wherever it is needed, from (seed, step, layer)."""

from __future__ import annotations

from math import prod

import numpy as np

from engine.codegen.builder import Code
from engine.codegen.host import host
from engine.codegen.objects import compiled
from engine.kernels import state as run_state
from engine.kernels.call import Buffer, Call, call
from engine.kernels.philox import GROUP, group, unit
from engine.lowering.request import KernelRequest
from engine.random import DROPOUT

GROUPS = 64
"""Groups of words to a chunk."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """The only function is dropout."""
    x, state = reads
    size, rate = prod(x.shape), request.attrs["rate"]
    args: list[int | float] = [x.address, state.address, writes[0].address, size, float(np.float32(rate)),
                               float(np.float32(1 / (1 - rate))), DROPOUT + request.attrs["stream"]]
    return [call(dropout(), args, -(-size // (GROUP * GROUPS)), "dropout")]


@compiled
def dropout() -> str:
    """args: x, state, y, elements, rate, scale, stream."""
    code = Code("dropout", host().lanes)
    x, state, y = (code.pointer(position) for position in range(3))
    size, rate, scale = code.arg(3), code.splat(code.number(4)), code.splat(code.number(5))
    key = (code.entry(state, run_state.SEED), code.arg(6), code.entry(state, run_state.STEP), 0)
    with code.loop(code.begin * GROUPS, (code.end * GROUPS).minimum((size + (GROUP - 1)) // GROUP)) as number:
        for place, words in enumerate(group(code, number.index, key)):
            start = number.index * GROUP + place * code.lanes
            mask = code.mask(size - start)
            kept = code.ir.fcmp_ordered(">=", unit(code, words), rate)
            scaled = code.ir.fmul(code.load(code.at(x, start), mask=mask), scale)
            code.store(code.ir.select(kept, scaled, code.zeros()), code.at(y, start), mask=mask)
    return code.finish()
