"""Sums, means and maxima over a run of neighbouring axes: of x viewed as (outer, reduced, inner).

Long sums over the leading dimension are cut into parts and folded in a fixed tree. Others never are, so that what is
summed for one example has the same bits however many examples there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from math import prod

import llvmlite.ir as ir

from engine.codegen import objects
from engine.codegen.builder import F32, F64, Code, Index
from engine.codegen.host import host
from engine.codegen.scalar import ScalarMath, Vector
from engine.kernels import elementwise, lines
from engine.kernels.call import Buffer, Call, call
from engine.kernels.lines import LINE
from engine.lowering.chunks import row_parts
from engine.lowering.request import KernelRequest

CHUNK = 4096
"""Elements to aim at in one chunk of short rows."""
BLOCK = 4096
"""Elements of a row that are summed in single precision; the blocks are in double."""
GROUP = 4
"""Lines that are added up side by side."""

Combine = Callable[[ir.Value, ir.Value], ir.Value]


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """`sum`, `mean` or `max` over `axes`, which are neighbours."""
    (x,), out, axes, kind = reads, writes[0], request.attrs["axes"], request.function
    start, stop = (axes[0], axes[-1] + 1) if axes else (0, 0)
    outer, reduced, inner = (prod(dims) for dims in (x.shape[:start], x.shape[start:stop], x.shape[stop:]))
    scale = 1.0 / max(1, reduced) if kind == "mean" else 1.0
    parts = row_parts(reduced) if len(writes) > 1 else 1
    if parts == 1:
        return [_call(kind, x.address, out.address, outer * reduced, reduced, inner, outer, scale)]
    partial = writes[1].address
    return [_call(kind, x.address, partial, reduced, -(-reduced // parts), inner, parts, scale),
            elementwise.fold(partial, out.address, inner, parts)]


def _call(kind: str, x: int, out: int, lines_: int, length: int, inner: int, parts: int, scale: float) -> Call:
    """Parts of `length` lines of `inner` elements each; the last part ends where all lines do."""
    if inner == 1:
        per_chunk = max(1, CHUNK // max(1, length))
        args = [x, out, parts, length, per_chunk, scale, lines_]
        return call(rows(kind == "max"), args, -(-parts // per_chunk), kind)
    blocks = -(-inner // LINE)
    args = [lines_, inner, length, blocks, lines.rows_together(inner), x, out, scale]
    return call(columns(kind == "max"), args, parts * blocks, kind)


def _combine(code: Code, maximum: bool) -> tuple[Combine, float]:
    """How two vectors become one, and what changes nothing."""
    m = ScalarMath(code)
    if maximum:
        return lambda x, y: m.maximum(Vector(m, x), Vector(m, y)).value, -math.inf
    return code.ir.fadd, 0.0


@objects.compiled
def columns(maximum: bool) -> str:
    """Each part's lines become one. args: lines, inner, lines a part, blocks, rows a line, x, out, scale."""
    code = Code("reduce_columns", host().lanes)
    combine, neutral = _combine(code, maximum)
    x, out, scale = code.pointer(5), code.pointer(6), code.splat(code.number(7))
    total = lines.scratch(code)
    with code.loop(code.begin, code.end) as chunk:
        part = lines.Part(code, chunk.index)
        lines.clear(code, total, part.span, neutral)
        count = part.stop - part.start
        base = code.at(x, part.start * part.channels + part.column)

        def add(column: Index, offsets: Sequence[Index], mask: ir.Value | None) -> None:
            target, at = code.at(total, column), code.at(base, column)
            values = [code.load(code.at(at, offset), mask=mask) for offset in offsets]
            code.store(combine(code.load(target), lines.tree(code, values, combine)), target, mask=mask)

        lines.sweep(code, part.step, part.span, count // part.together, count % part.together * part.channels, add,
                    group=GROUP)
        lines.fold(code, total, part.width, part.together, combine)
        target = code.at(out, part.number * part.channels + part.column)
        lines.vectors(code, part.width, lambda column, mask: code.store(
            code.ir.fmul(code.load(code.at(total, column)), scale), code.at(target, column), mask=mask))
    return code.finish()


@objects.compiled
def rows(maximum: bool) -> str:
    """Each row becomes one number; however long it is, its sum is good to a few units in the last place.

    args: x, out, rows, elements a row, rows a chunk, scale, elements in all.
    """
    code = Code("reduce_rows", host().lanes)
    combine, neutral = _combine(code, maximum)
    x, out = code.pointer(0), code.pointer(1)
    length, per_chunk, scale = code.arg(3), code.arg(4), code.real(5)
    with code.loop(code.begin * per_chunk, (code.end * per_chunk).minimum(code.arg(2))) as row:
        first = row.index * length
        size = (code.arg(6) - first).minimum(length)
        source = code.at(x, first)

        def block(start: Index) -> ir.Value:
            at = code.at(source, start)
            (value,) = lines.totals(code, (size - start).minimum(BLOCK), 1,
                                    lambda column, mask: [code.load(code.at(at, column), mask=mask)], combine, neutral)
            return code.first(value)

        if maximum:
            with code.loop(0, size, BLOCK, carry=[code.splat(neutral)]) as best:
                best.carry = [combine(best.values[0], code.splat(block(best.index)))]
            result = code.first(best.values[0])
        else:
            with code.loop(0, size, BLOCK, carry=[ir.Constant(F64, 0.0)]) as total:
                total.carry = [code.ir.fadd(total.values[0], code.ir.fpext(block(total.index), F64))]
            result = code.ir.fptrunc(code.ir.fmul(total.values[0], scale), F32)
        code.store_scalar(result, code.at(out, row.index))
    return code.finish()
