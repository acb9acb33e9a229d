"""Dropout: the mask is drawn again wherever it is needed, from (seed, step, layer)."""

from __future__ import annotations

from math import prod

import numpy as np

from engine.codegen.builder import Code
from engine.codegen.host import host
from engine.codegen.objects import compiled
from engine.kernels import state as run_state
from engine.kernels.call import Buffer, Call, call
from engine.kernels.philox import GROUP, group
from engine.lowering.request import KernelRequest
from engine.random import DROPOUT, dropping

GROUPS, HALVES = 32, 2 * GROUP
"""Groups of words to a chunk; elements that a group serves."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """The only function is dropout."""
    x, state = reads
    size, rate = prod(x.shape), request.attrs["rate"]
    dropped, factor = dropping(rate)
    args: list[int | float] = [x.address, state.address, writes[0].address, size, dropped << 16,
                               float(np.float32(factor)), DROPOUT + request.attrs["stream"]]
    return [call(dropout(), args, -(-size // (HALVES * GROUPS)), "dropout")]


@compiled
def dropout() -> str:
    """args: x, state, y, elements, 2^16 times the half word below which an element is dropped, factor, stream."""
    code = Code("dropout", host().lanes)
    x, state, y = (code.pointer(position) for position in range(3))
    size, dropped, factor = code.arg(3), code.splat(code.arg(4), "uint32"), code.splat(code.number(5))
    key = (code.entry(state, run_state.SEED), code.arg(6), code.entry(state, run_state.STEP), 0)
    with code.loop(code.begin * GROUPS, (code.end * GROUPS).minimum((size + (HALVES - 1)) // HALVES)) as number:
        words = group(code, number.index, key)
        lower = [code.ir.shl(word, code.splat(16, "uint32")) for word in words]
        for place, word in enumerate((*lower, *words)):
            start = number.index * HALVES + place * code.lanes
            mask = code.mask(size - start)
            kept = code.ir.icmp_unsigned(">=", word, dropped)
            scaled = code.ir.fmul(code.load(code.at(x, start), mask=mask), factor)
            code.store(code.ir.select(kept, scaled, code.zeros()), code.at(y, start), mask=mask)
    return code.finish()
