"""The flat optimizer: one call over all variables. A chunk is a block of one variable's elements.

The step's learning rate and number stand in the run's state. Each element is computed on its own, so any order of
chunks gives the same bits.
"""

from __future__ import annotations

from math import prod

import llvmlite.ir as ir

from engine.codegen import objects
from engine.codegen.builder import F32, F64, Code, Index
from engine.codegen.host import host
from engine.codegen.scalar import DoubleMath, ScalarMath, Vector
from engine.expressions import numbers_and_flags, rule
from engine.kernels import lines
from engine.kernels import state as run_state
from engine.kernels.call import Buffer, Call, call
from engine.lowering.request import KernelRequest

BLOCK = 4096
SMALL = 16_384
"""Elements of all variables together that are one chunk: sharing them out would take longer."""
STATE, SEGMENTS, BLOCK_SIZE, DECAY, NUMBERS = range(5)
SEGMENT = 4
"""Fields of a segment in front of its slots: first chunk, elements, weights, gradient."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """One segment for each variable; options that are numbers are arguments, the others are built in.

    A `step` is of one variable, and writes what it makes beside what it reads.
    """
    attrs = dict(request.attrs)
    name, slots, decay = attrs.pop("rule"), attrs.pop("slots"), attrs.pop("weight_decay", 0.0)
    attrs.pop("extra", None)
    numbers, flags = numbers_and_flags(attrs)
    state, *rest = reads
    if request.function == "step":
        size = prod(rest[0].shape)
        addresses = [buffer.address for buffer in (*rest, *writes)]
        alone: list[int | float] = [state.address, 1, BLOCK, float(decay), *numbers.values(), 0, size, *addresses]
        kernel = update(name, tuple(numbers), tuple(flags.items()), slots, len(writes))
        return [call(kernel, alone, -(-size // BLOCK), name)]
    total = sum(prod(weights.shape) for weights in rest[::2 + slots])
    segments: list[int] = []
    chunk, block = 0, total if total <= SMALL else BLOCK
    for start in range(0, len(rest), 2 + slots):
        size = prod(rest[start].shape)
        segments += [chunk, size, *(buffer.address for buffer in rest[start:start + 2 + slots])]
        chunk += -(-size // block) if total > SMALL else 0
    args = [state.address, len(rest) // (2 + slots), block, float(decay), *numbers.values(), *segments]
    return [call(update(name, tuple(numbers), tuple(flags.items()), slots), args, max(1, chunk), name)]


@objects.compiled
def update(name: str, options: tuple[str, ...], flags: tuple[tuple[str, object], ...], slots: int,
           apart: int = 0) -> str:
    """The kernel's LLVM IR.

    args: state, segments, elements a chunk, weight decay, the options' numbers, then the segments. A segment has
    `apart` more pointers, if not in place, to what is made.
    """
    code = Code("update", host().lanes)
    m, found = ScalarMath(code), rule(name)
    decay, *numbers = _numbers(code, name, options)
    keep, block = m.vector(1.0) - decay, code.arg(BLOCK_SIZE)
    with code.loop(0, code.arg(SEGMENTS)) as segment:
        base = segment.index * (SEGMENT + slots + apart) + (NUMBERS + len(options))
        first, size = code.arg(base), code.arg(base + 1)
        low = (code.begin - first).maximum(0) * block
        high = ((code.end - first) * block).minimum(size)
        with code.when(low.compare("<", high)):
            pointers = [code.at(code.address(code.arg(base + 2 + place)), low) for place in range(2 + slots + apart)]
            weights, gradient, *kept = pointers[:2 + slots]
            made_at = pointers[2 + slots:] or [weights, *kept]

            def step(column: Index, mask: ir.Value | None) -> None:
                values = [Vector(m, code.load(code.at(pointer, column), mask=mask))
                          for pointer in (weights, gradient, *kept)]
                made = found.update(m, numbers, values[0] * keep, *values[1:], **dict(flags))
                for value, pointer in zip(made, made_at, strict=True):
                    code.store(m.vector(value).value, code.at(pointer, column), mask=mask)

            lines.vectors(code, high - low, step)
    return code.finish()


def _numbers(code: Code, name: str, options: tuple[str, ...]) -> list[Vector]:
    """rate * weight decay, then what the rule says is the same for all elements, in every lane."""
    wide, m = DoubleMath(code), ScalarMath(code)
    state = code.pointer(STATE)
    rates = code.address(code.entry(state, run_state.RATES))
    rate = code.load_scalar(code.at(rates, code.entry(state, run_state.RECORD)))
    step = Vector(wide, code.ir.sitofp((code.entry(state, run_state.STEP) + 1).value, F64))
    given = {option: Vector(wide, code.real(NUMBERS + place)) for place, option in enumerate(options)}
    exact = Vector(wide, code.ir.fpext(rate, F64))
    found = [exact * Vector(wide, code.real(DECAY)), *rule(name).numbers(wide, exact, step, **given)]
    return [Vector(m, code.splat(code.ir.fptrunc(wide.vector(number).value, F32))) for number in found]
