"""Batch normalisation of x, viewed as (rows, channels): its moments, and the sums of its gradient.

What is applied to every element is an elementwise chain; here are the two passes that add up. Both leave a part's sums
in `partial`, and a call of one chunk brings the parts together in their order.
"""

from __future__ import annotations

from math import prod
from typing import Any

import llvmlite.ir as ir

from engine.codegen import objects
from engine.codegen.builder import F32, F64, Code, Index
from engine.codegen.host import host
from engine.codegen.scalar import ScalarMath, Vector
from engine.expressions import Body, evaluate
from engine.kernels import lines
from engine.kernels.call import Buffer, Call, call
from engine.kernels.lines import LINE
from engine.lowering.chunks import PARTS, row_parts
from engine.lowering.request import KernelRequest

GROUP = 4
"""Lines of a block that are added up side by side."""
BLOCK_LINES = 16
"""Lines whose mean and squares are taken together: they are read twice, so they fit into the first cache."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """`batch_moments` or `batch_sums`."""
    bound = _moments if request.function == "batch_moments" else _sums
    return bound(dict(request.attrs), reads, writes)


def _geometry(x: Buffer) -> tuple[list[int], int, int]:
    """Rows, channels, rows a part, blocks of columns, rows a line; the number of parts and of chunks."""
    rows, channels = prod(x.shape[:-1]), x.shape[-1]
    parts, blocks = row_parts(rows), -(-channels // LINE)
    return [rows, channels, -(-rows // parts), blocks, lines.rows_together(channels)], parts, parts * blocks


def _moments(attrs: dict[str, Any], reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    (x, gamma), (*_, partial) = reads, writes
    shape, parts, chunks = _geometry(x)
    merged = [*shape[:3], parts, partial.address, gamma.address, *(buffer.address for buffer in writes[:3]),
              attrs["epsilon"]]
    return [call(moments(), [*shape, x.address, partial.address], chunks, "batch_norm moments"),
            call(merge(), merged, 1, "batch_norm moments")]


def _sums(attrs: dict[str, Any], reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    x, mean, variance, *inputs = reads
    *outputs, partial = writes
    shape, parts, chunks = _geometry(x)
    operands = list(dict.fromkeys([x, mean, *inputs]))
    full = tuple(len(operand.shape) > 1 for operand in operands)
    entry = sums(attrs.get("body", ()), full, tuple(operands.index(value) for value in (x, mean, *inputs)))
    merged = [*shape[:2], parts, partial.address, variance.address, *(buffer.address for buffer in outputs),
              attrs["epsilon"]]
    return [call(entry, [*shape, partial.address, *(operand.address for operand in operands)], chunks,
                 "batch_norm sums"),
            call(gradients(), merged, 1, "batch_norm sums")]


@objects.compiled
def moments() -> str:
    """Mean and sum of squared deviations of each part.

    Block by block: the sum, then the squares about the block's own mean, merged by the formula of Chan, Golub and
    LeVeque (1979). args: rows, channels, rows a part, blocks, rows a line, x, partial (parts, 2, channels).
    """
    code = Code("batch_moments", host().lanes)
    x, partial = code.pointer(5), code.pointer(6)
    total, square, centre = (lines.scratch(code) for _ in range(3))
    with code.loop(code.begin, code.end) as chunk:
        part = lines.Part(code, chunk.index)
        mean = code.at(partial, part.number * 2 * part.channels + part.column)
        deviation = code.at(mean, part.channels)
        block = part.together * BLOCK_LINES
        with code.loop(part.start, part.stop, block) as start:
            count = (part.stop - start.index).minimum(block)
            whole, rest = count // part.together, count % part.together * part.channels
            base = code.at(x, start.index * part.channels + part.column)

            def add(column: Index, offsets: Any, mask: ir.Value | None, base: ir.Value = base) -> None:
                target, at = code.at(total, column), code.at(base, column)
                values = [code.load(code.at(at, offset), mask=mask) for offset in offsets]
                code.store(code.ir.fadd(code.load(target), lines.tree(code, values)), target, mask=mask)

            def deviate(column: Index, offsets: Any, mask: ir.Value | None, base: ir.Value = base) -> None:
                target, at = code.at(square, column), code.at(base, column)
                middle = code.load(code.at(centre, column))
                apart = [code.ir.fsub(code.load(code.at(at, offset), mask=mask), middle) for offset in offsets]
                values = [code.ir.fmul(value, value) for value in apart]
                code.store(code.ir.fadd(code.load(target), lines.tree(code, values)), target, mask=mask)

            for line in (total, square):
                lines.clear(code, line, part.span)
            lines.sweep(code, part.step, part.span, whole, rest, add, group=GROUP)
            lines.fold(code, total, part.width, part.together)
            share = code.splat(code.ir.fdiv(ir.Constant(F32, 1.0), _float(code, count)))
            lines.vectors(code, part.width, lambda column, mask: code.store(
                code.ir.fmul(code.load(code.at(total, column)), share), code.at(total, column), mask=mask))
            lines.tile(code, total, centre, part.width, part.together)
            lines.sweep(code, part.step, part.span, whole, rest, deviate, group=GROUP)
            lines.fold(code, square, part.width, part.together)
            before = start.index - part.start
            weight = code.splat(code.ir.fdiv(_float(code, count), _float(code, before + count)))
            crossed = code.ir.fmul(code.splat(_float(code, before)), weight)
            first = code.splat(code.ir.uitofp(before.compare("==", 0), F32))

            def joined(column: Index, mask: ir.Value | None) -> None:
                of_block, squares = code.load(code.at(total, column)), code.load(code.at(square, column))
                at, other = code.at(mean, column), code.at(deviation, column)
                old = [_unless(code, first, code.load(place, mask=mask)) for place in (at, other)]
                delta = code.ir.fsub(of_block, old[0])
                code.store(code.ir.fadd(old[0], code.ir.fmul(delta, weight)), at, mask=mask)
                apart = code.ir.fmul(code.ir.fmul(delta, delta), crossed)
                code.store(code.ir.fadd(old[1], code.ir.fadd(squares, apart)), other, mask=mask)

            lines.vectors(code, part.width, joined)
    return code.finish()


def _float(code: Code, value: Index) -> ir.Value:
    return code.ir.sitofp(value.value, F32)


def _unless(code: Code, condition: ir.Value, value: ir.Value) -> ir.Value:
    """0 where the condition is 1, whatever the memory held before."""
    return code.ir.select(code.ir.fcmp_ordered("==", condition, code.zeros()), value, code.zeros())


def _wide(code: Code, value: ir.Value) -> ir.Value:
    """A vector, or a number in every lane, in double precision."""
    if isinstance(value.type, ir.VectorType):
        return code.ir.fpext(value, code.type_of("float64"))
    return code.splat(value, "float64")


def _root(code: Code, variance: ir.Value, epsilon: int) -> ir.Value:
    """sqrt(variance + epsilon)."""
    return code.intrinsic("sqrt", code.ir.fadd(variance, code.splat(code.number(epsilon))))


@objects.compiled
def merge() -> str:
    """The parts' moments merged in order, in double precision; factor = gamma / sqrt(variance + epsilon).

    args: rows, channels, rows a part, parts, partial, gamma, mean, variance, factor, epsilon.
    """
    code = Code("batch_merge", host().lanes)
    rows, channels, length, parts = (code.arg(position) for position in range(4))
    partial, gamma, mean, variance, factor = (code.pointer(position) for position in range(4, 9))

    def double(value: Index) -> ir.Value:
        return code.ir.sitofp(value.value, F64)

    def channel(column: Index, mask: ir.Value | None) -> None:
        def load(part: int | Index, which: int) -> ir.Value:
            at = code.at(partial, (code.index(part) * 2 + which) * channels + column)
            return _wide(code, code.load(at, mask=mask))

        with code.loop(1, parts, carry=[load(0, 0), load(0, 1)]) as part:
            before = part.index * length
            count = (before + length).minimum(rows) - before
            weight = code.ir.fdiv(double(count), double(before + count))
            delta = code.ir.fsub(load(part.index, 0), part.values[0])
            crossed = _wide(code, code.ir.fmul(double(before), weight))
            apart = code.ir.fmul(code.ir.fmul(delta, delta), crossed)
            part.carry = [code.ir.fadd(part.values[0], code.ir.fmul(delta, _wide(code, weight))),
                          code.ir.fadd(part.values[1], code.ir.fadd(load(part.index, 1), apart))]
        spread = code.ir.fdiv(part.values[1], _wide(code, double(rows)))
        centre, biased = (code.ir.fptrunc(value, code.vector) for value in (part.values[0], spread))
        code.store(centre, code.at(mean, column), mask=mask)
        code.store(biased, code.at(variance, column), mask=mask)
        scaled = code.ir.fdiv(code.load(code.at(gamma, column), mask=mask), _root(code, biased, 9))
        code.store(scaled, code.at(factor, column), mask=mask)

    lines.vectors(code, channels, channel)
    return code.finish()


@objects.compiled
def sums(body: Body, full: tuple[bool, ...], places: tuple[int, ...]) -> str:
    """Each part's sums of g and of g (x - mean), where g is a chain over some operands, or the third operand itself.

    args: rows, channels, rows a part, blocks, rows a line, partial (parts, 2, channels), then the distinct operands,
    each a tensor or one row of channels. `places` says which of them are x, mean, and the chain's inputs.
    """
    code = Code("batch_sums", host().lanes)
    m = ScalarMath(code)
    partial = code.pointer(5)
    operands = [code.pointer(6 + position) for position in range(len(full))]
    plain, product = lines.scratch(code), lines.scratch(code)
    tiles = [None if whole else lines.scratch(code) for whole in full]
    with code.loop(code.begin, code.end) as chunk:
        part = lines.Part(code, chunk.index)
        for operand, line in zip(operands, tiles, strict=True):
            if line is not None:
                lines.tile(code, code.at(operand, part.column), line, part.width, part.together)
        for line in (plain, product):
            lines.clear(code, line, part.span)
        count = part.stop - part.start
        base = part.start * part.channels + part.column

        def add(column: Index, offsets: Any, mask: ir.Value | None) -> None:
            constants = [None if line is None else code.load(code.at(line, column)) for line in tiles]
            gradients, products = [], []
            for offset in offsets:
                at = base + offset + column
                loaded = [constant if constant is not None else code.load(code.at(operand, at), mask=mask)
                          for operand, constant in zip(operands, constants, strict=True)]
                x, mean, *inputs = (Vector(m, loaded[place]) for place in places)
                g = evaluate(m, body, inputs)
                gradients.append(g.value)
                products.append((g * (x - mean)).value)
            for line, values in ((plain, gradients), (product, products)):
                target = code.at(line, column)
                code.store(code.ir.fadd(code.load(target), lines.tree(code, values)), target, mask=mask)

        lines.sweep(code, part.step, part.span, count // part.together, count % part.together * part.channels, add)
        for which, line in enumerate((plain, product)):
            lines.fold(code, line, part.width, part.together)
            target = code.at(partial, (part.number * 2 + which) * part.channels + part.column)
            lines.vectors(code, part.width, lambda column, mask, line=line, target=target: code.store(  # type: ignore[misc]
                code.load(code.at(line, column)), code.at(target, column), mask=mask))
    return code.finish()


@objects.compiled
def gradients() -> str:
    """The parts' sums added up in a fixed tree: dgamma, dbeta, and what the gradient of x needs of them.

    slope = dgamma / (rows sqrt(variance + epsilon)), shift = dbeta / rows.
    args: rows, channels, parts, partial, variance, dgamma, dbeta, slope, shift, epsilon.
    """
    code = Code("batch_gradients", host().lanes)
    rows, channels, parts = (code.arg(position) for position in range(3))
    partial, variance, dgamma, dbeta, slope, shift = (code.pointer(position) for position in range(3, 9))
    share = code.splat(code.ir.fdiv(ir.Constant(F32, 1.0), _float(code, rows)))

    def channel(column: Index, mask: ir.Value | None) -> None:
        def summed(which: int) -> ir.Value:
            at = code.at(partial, channels * which + column)
            values = []
            for part in range(PARTS):
                present = parts.compare(">", part)
                place = code.ir.select(present, code.at(at, channels * (2 * part)), at)
                values.append(code.ir.select(present, code.load(place, mask=mask), code.splat(-0.0)))
            return lines.tree(code, values)

        plain, root = summed(0), _root(code, code.load(code.at(variance, column), mask=mask), 9)
        scaled = code.ir.fdiv(summed(1), root)
        steep = code.ir.fmul(code.ir.fdiv(scaled, root), share)
        for value, target in ((scaled, dgamma), (plain, dbeta), (steep, slope), (code.ir.fmul(plain, share), shift)):
            code.store(value, code.at(target, column), mask=mask)

    lines.vectors(code, channels, channel)
    return code.finish()
