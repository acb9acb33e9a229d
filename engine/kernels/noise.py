"""Random masks, uniform and normal numbers. A chunk is some groups of 64 random words."""

from __future__ import annotations

import math
from math import prod

import numpy as np

from engine.codegen.builder import Code
from engine.codegen.host import host
from engine.codegen.objects import compiled
from engine.codegen.scalar import ScalarMath, Vector
from engine.kernels import state as run_state
from engine.kernels.call import Buffer, Call, call
from engine.kernels.philox import GROUP, group, unit
from engine.lowering.request import KernelRequest
from engine.random import DROPOUT

GROUPS = 64
"""Groups of words to a chunk."""
SINE = tuple((-1) ** n * (2 * math.pi) ** (2 * n + 1) / math.factorial(2 * n + 1) for n in range(6, -1, -1))
"""Maclaurin series of sin(2 pi x) / x in x^2: error 1e-9 up to a quarter."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """The functions below by name."""
    (y,), attrs = writes, request.attrs
    size, stream = prod(y.shape), DROPOUT + attrs["stream"]
    if request.function == "random_mask":
        entry, share, numbers = random_mask(), GROUP, (float(np.float32(attrs["rate"])), float(attrs["kept"]))
    elif request.function == "random_uniform":
        low, high = (np.float32(attrs[bound]) for bound in ("low", "high"))
        entry, share, numbers = random_uniform(), GROUP, (float(low), float(high - low))
    else:
        entry, share, numbers = random_normal(), GROUP // 2, (float(attrs["mean"]), float(attrs["stddev"]))
    args = [reads[-1].address, y.address, size, stream, *numbers]
    return [call(entry, args, -(-size // (share * GROUPS)), request.function)]


@compiled
def random_mask() -> str:
    """args: state, y, elements, stream, rate, value."""
    code = Code("random_mask", host().lanes)
    state, y, size = code.pointer(0), code.pointer(1), code.arg(2)
    rate, kept = code.splat(code.number(4)), code.splat(code.number(5))
    key = (code.entry(state, run_state.SEED), code.arg(3), code.entry(state, run_state.STEP), 0)
    with code.loop(code.begin * GROUPS, (code.end * GROUPS).minimum((size + (GROUP - 1)) // GROUP)) as number:
        for place, words in enumerate(group(code, number.index, key)):
            start = number.index * GROUP + place * code.lanes
            drawn = code.ir.fcmp_ordered(">=", unit(code, words), rate)
            code.store(code.ir.select(drawn, kept, code.zeros()), code.at(y, start), mask=code.mask(size - start))
    return code.finish()


@compiled
def random_uniform() -> str:
    """args: state, y, elements, stream, low, span."""
    code = Code("random_uniform", host().lanes)
    state, y, size = code.pointer(0), code.pointer(1), code.arg(2)
    low, span = code.splat(code.number(4)), code.splat(code.number(5))
    key = (code.entry(state, run_state.SEED), code.arg(3), code.entry(state, run_state.STEP), 0)
    with code.loop(code.begin * GROUPS, (code.end * GROUPS).minimum((size + (GROUP - 1)) // GROUP)) as number:
        for place, words in enumerate(group(code, number.index, key)):
            start = number.index * GROUP + place * code.lanes
            drawn = code.ir.fadd(low, code.ir.fmul(unit(code, words), span))
            code.store(drawn, code.at(y, start), mask=code.mask(size - start))
    return code.finish()


@compiled
def random_normal() -> str:
    """args: state, y, elements, stream, mean, standard deviation. Two words make one number."""
    code = Code("random_normal", host().lanes)
    m, half = ScalarMath(code), GROUP // 2
    state, y, size = code.pointer(0), code.pointer(1), code.arg(2)
    mean, deviation = Vector(m, code.splat(code.number(4))), Vector(m, code.splat(code.number(5)))
    key = (code.entry(state, run_state.SEED), code.arg(3), code.entry(state, run_state.STEP), 0)
    with code.loop(code.begin * GROUPS, (code.end * GROUPS).minimum((size + (half - 1)) // half)) as number:
        words = [Vector(m, unit(code, part)) for part in group(code, number.index, key)]
        for place, (first, second) in enumerate(zip(words[:len(words) // 2], words[len(words) // 2:], strict=True)):
            start = number.index * half + place * code.lanes
            radius = m.sqrt(m.log(1.0 - first) * -2.0)
            # cos(2 pi u) = sin(2 pi (|u - 1/2| - 1/4)), which is never beyond a quarter.
            turned = m.abs(second - 0.5) - 0.25
            drawn = mean + deviation * (radius * (turned * m.polynomial(SINE, turned * turned)))
            code.store(drawn.value, code.at(y, start), mask=code.mask(size - start))
    return code.finish()
