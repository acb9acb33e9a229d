"""Sums, means and maxima.

Long sums over the leading dimension are cut into parts and folded in a fixed tree. Others never are, so that what is
summed for one example has the same bits however many examples there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from math import prod

import llvmlite.ir as ir

from engine.codegen.builder import F32, F64, Code, Index
from engine.codegen.host import host
from engine.codegen.objects import compiled
from engine.codegen.scalar import ScalarMath, Vector
from engine.kernels import elementwise
from engine.kernels.call import Buffer, Call, call
from engine.lowering.chunks import row_parts
from engine.lowering.request import KernelRequest

COLUMN_VECTORS = 8
"""Vectors of columns that are summed together, in registers."""
ROW_VECTORS = 4
"""Partial sums of a row, vectors each."""
ROW_BLOCK = 4096
"""Elements of a row whose partial sums are kept apart."""
RESULTS = 64
"""Results to a chunk where axes are scattered."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """Views the input as (outer, reduced, inner) for every run of neighbouring axes, from the last run to the first."""
    (x,), out = reads, writes[0]
    axes, shape = request.attrs["axes"], x.shape
    runs = _runs(axes, shape)
    if len(runs) > 1:
        return _several(request, x, out, runs)
    outer, reduced, inner = _view(shape, runs[0] if runs else (0, 0))
    parts = row_parts(reduced) if len(writes) > 1 else 1
    scale = _scale(request, shape)
    if parts > 1:
        return _parted(request.function, x.address, writes[1].address, out.address, reduced, inner, parts, scale)
    return [_call(request.function, x.address, out.address, outer, reduced, inner, scale)]


def _scale(request: KernelRequest, shape: tuple[int, ...]) -> float:
    return 1.0 / max(1, prod(shape[axis] for axis in request.attrs["axes"])) if request.function == "mean" else 1.0


def _runs(axes: tuple[int, ...], shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Reduced axes as half-open runs; an axis of size 1 joins its neighbours' run."""
    runs: list[tuple[int, int]] = []
    for axis in range(len(shape)):
        if axis in axes:
            if runs and all(shape[between] == 1 for between in range(runs[-1][1], axis)):
                runs[-1] = (runs[-1][0], axis + 1)
            else:
                runs.append((axis, axis + 1))
    return runs


def _view(shape: tuple[int, ...], run: tuple[int, int]) -> tuple[int, int, int]:
    return prod(shape[: run[0]]), prod(shape[run[0]: run[1]]), prod(shape[run[1]:])


def _several(request: KernelRequest, x: Buffer, out: Buffer, runs: list[tuple[int, int]]) -> list[Call]:
    """Axes that are not neighbours, as (0, 2) of three: element by element of the result."""
    strides = [prod(x.shape[axis + 1:]) for axis in range(len(x.shape))]
    reduced = [axis for axis in range(len(x.shape)) if axis in request.attrs["axes"]]
    kept = [axis for axis in range(len(x.shape)) if axis not in reduced]
    args: list[int | float] = [x.address, out.address, prod(out.shape), prod(x.shape[axis] for axis in reduced),
                               _scale(request, x.shape), len(kept), len(reduced)]
    for axis in (*kept, *reduced):
        args += [x.shape[axis], strides[axis]]
    return [call(scattered(request.function == "max"), args, -(-prod(out.shape) // RESULTS), request.function)]


def _parted(
    kind: str, x: int, partial: int, out: int, reduced: int, inner: int, parts: int, scale: float
) -> list[Call]:
    blocks, length = -(-inner // _block()), -(-reduced // parts)
    if inner == 1:
        summed = call(rows(False), [x, partial, parts, length, 1, scale, reduced], parts, kind)
    else:
        summed = call(lines(False), [x, partial, reduced, inner, length, blocks, scale], parts * blocks, kind)
    return [summed, elementwise.fold(partial, out, inner, parts)]


def _call(kind: str, x: int, out: int, outer: int, reduced: int, inner: int, scale: float) -> Call:
    maximum = kind == "max"
    if inner == 1:
        per_chunk = max(1, ROW_BLOCK // max(1, reduced))
        args = [x, out, outer, reduced, per_chunk, scale, outer * reduced]
        return call(rows(maximum), args, -(-outer // per_chunk), kind)
    blocks = -(-inner // _block())
    return call(lines(maximum), [x, out, outer * reduced, inner, reduced, blocks, scale], outer * blocks, kind)


def _block() -> int:
    """Columns that are summed together."""
    return COLUMN_VECTORS * host().lanes


Combine = Callable[[ir.Value, ir.Value], ir.Value]


def _combine(code: Code, maximum: bool) -> tuple[ir.Value, Combine]:
    """What vectors begin with, and how two become one; a maximum is NaN where either is."""
    if not maximum:
        return code.zeros(), code.ir.fadd
    m = ScalarMath(code)
    return code.splat(-math.inf), lambda a, b: m.maximum(Vector(m, a), Vector(m, b)).value


@compiled
def lines(maximum: bool) -> str:
    """Part p of x (lines, inner) is reduced into line p of out.

    args: x, out, lines, inner, lines a part, blocks, scale.
    """
    code = Code("reduce_lines", host().lanes)
    x, out = code.pointer(0), code.pointer(1)
    total, inner, length, blocks = (code.arg(position) for position in range(2, 6))
    scale = code.splat(code.number(6))
    start, combine = _combine(code, maximum)

    def reduced(part: Index, column: Index, count: int, mask: ir.Value | None) -> None:
        """Some vectors of columns."""
        columns = [column + vector * code.lanes for vector in range(count)]
        last = ((part + 1) * length).minimum(total)
        with code.loop(part * length, last, carry=[start] * count) as line:
            source = code.at(x, line.index * inner)
            line.carry = [combine(value, code.load(code.at(source, column), mask=mask))
                          for value, column in zip(line.values, columns, strict=True)]
        for value, column in zip(line.values, columns, strict=True):
            code.store(value if maximum else code.ir.fmul(value, scale), code.at(out, part * inner + column), mask=mask)

    with code.loop(code.begin, code.end) as chunk:
        part, first = chunk.index // blocks, chunk.index % blocks * _block()
        last = (first + _block()).minimum(inner)
        with code.either((last - first).compare("==", _block())) as (then, otherwise):
            with then:
                reduced(part, first, COLUMN_VECTORS, None)
            with otherwise, code.loop(first, last, code.lanes) as column:
                reduced(part, column.index, 1, code.mask(last - column.index))
    return code.finish()


@compiled
def rows(maximum: bool) -> str:
    """Each row of x (outer, reduced) becomes one number; the last row ends where all elements do.

    A block of a row is summed in partial sums and a tree, the blocks in double precision: however long a row, its sum
    is good to a few units in the last place.

    args: x, out, outer, reduced, rows a chunk, scale, elements.
    """
    code = Code("reduce_rows", host().lanes)
    x, out = code.pointer(0), code.pointer(1)
    outer, reduced, per_chunk, elements = code.arg(2), code.arg(3), code.arg(4), code.arg(6)
    nothing, combine = _combine(code, maximum)
    width = ROW_VECTORS * code.lanes

    def block(source: ir.Value, start: Index, stop: Index) -> ir.Value:
        """A block's result, in lane 0 of a vector."""
        whole = start + (stop - start) // width * width
        with code.loop(start, whole, width, carry=[nothing] * ROW_VECTORS) as at:
            at.carry = [combine(value, code.load(code.at(source, at.index + vector * code.lanes)))
                        for vector, value in enumerate(at.values)]
        (a, b, c, d) = at.values
        with code.loop(whole, stop, code.lanes, carry=[combine(combine(a, b), combine(c, d))]) as rest:
            mask = code.mask(stop - rest.index)
            loaded = code.load(code.at(source, rest.index), mask=mask, otherwise=-math.inf if maximum else 0)
            rest.carry = [combine(rest.values[0], loaded)]
        return code.across(rest.values[0], combine)

    with code.loop(code.begin * per_chunk, (code.end * per_chunk).minimum(outer)) as row:
        source = code.at(x, row.index * reduced)
        size = reduced.minimum(elements - row.index * reduced)
        first = nothing if maximum else ir.Constant(F64, 0.0)
        with code.loop(0, size, ROW_BLOCK, carry=[first]) as start:
            found = block(source, start.index, (start.index + ROW_BLOCK).minimum(size))
            start.carry = [combine(start.values[0], found) if maximum
                           else code.ir.fadd(start.values[0], code.ir.fpext(code.first(found), F64))]
        (value,) = start.values
        result = code.first(value) if maximum else code.ir.fptrunc(code.ir.fmul(value, code.real(5)), F32)
        code.store_scalar(result, code.at(out, row.index))
    return code.finish()


@compiled
def scattered(maximum: bool) -> str:
    """Any axes, element by element.

    args: x, out, results, terms, scale, kept axes, reduced axes, then (size, stride) of each of them.
    """
    code = Code("reduce_scattered", host().lanes)
    x, out = code.pointer(0), code.pointer(1)
    results, terms, scale, kept, reduced = code.arg(2), code.arg(3), code.number(4), code.arg(5), code.arg(6)

    def offset(number: Index, first: Index, count: Index) -> Index:
        """Where element `number` of these axes lies."""
        with code.loop(0, count, carry=[number.value, code.index(0).value]) as step:
            rest, place = (Index(code, value) for value in step.values)
            axis = (first + count - 1 - step.index) * 2 + 7
            size, stride = code.arg(axis), code.arg(axis + 1)
            step.carry = [(rest // size).value, (place + rest % size * stride).value]
        return Index(code, step.values[1])

    with code.loop(code.begin * RESULTS, (code.end * RESULTS).minimum(results)) as position:
        start = code.at(x, offset(position.index, code.index(0), kept))
        begin = ir.Constant(F32, -math.inf if maximum else 0.0)
        with code.loop(0, terms, carry=[begin]) as term:
            value = code.load_scalar(code.at(start, offset(term.index, kept, reduced)))
            (total,) = term.values
            if maximum:
                wins = code.ir.and_(code.ir.fcmp_unordered("<", total, value), code.ir.fcmp_ordered("==", total, total))
                term.carry = [code.ir.select(wins, value, total)]
            else:
                term.carry = [code.ir.fadd(total, value)]
        result = term.values[0] if maximum else code.ir.fmul(term.values[0], scale)
        code.store_scalar(result, code.at(out, position.index))
    return code.finish()
