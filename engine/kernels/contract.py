"""The contraction family: one micro-kernel per register tile, with every stride a runtime argument.

    for chunk: for column tile: for row tile:
        accumulators = 0
        for r: for s: for k:  accumulators += A[rows, k] (broadcast) * B[k, columns]
        C = epilogue(accumulators + bias)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import llvmlite.ir as ir

from engine.codegen import objects
from engine.codegen.builder import Code, Index
from engine.codegen.host import host
from engine.codegen.scalar import ScalarMath, Vector
from engine.expressions import Body, evaluate
from engine.heads import exchanged
from engine.kernels import elementwise, memory, transpose
from engine.kernels.call import Buffer, Call, call
from engine.lowering import chunks, contraction, select
from engine.lowering.contraction import Contraction, Outer
from engine.lowering.request import KernelRequest
from engine.lowering.select import Tile

(A, B, C, BIAS, COLUMN_BLOCKS, ROW_BLOCKS, ROW_TILES, COLUMN_TILES, ROWS, ROW_A, ROW_C, COLUMNS, COLUMN_B, SPLIT,
 SOURCE, REDUCE) = range(16)
OUTER = REDUCE + 9


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """Calls of one request. `function` is matmul, conv2d, conv2d_backward_data or conv2d_backward_kernel."""
    attrs = dict(request.attrs)
    body: Body = attrs.pop("epilogue", ())
    a, b, out = reads[0], reads[1], writes[0]
    if request.function == "matmul":
        a, b, out = (replace(buffer, shape=(prod(buffer.shape[:-1]), buffer.shape[-1])) for buffer in (a, b, out))
    bias = reads[2] if len(reads) > 2 else None
    parts = _parts(request.function, a, b, attrs)
    target = writes[1] if parts > 1 else out
    source = 0
    if request.function == "matmul":
        before, right, views, source = _matmul(a, b, out, attrs, parts, writes[-1] if attrs["panels"] else None)
    else:
        before, right, views = [], b.address, _views(request.function, a, b, out, attrs, parts)
    shift = bias.address if bias else 0
    calls = [_call(view, a.address, right, target.address, shift, body, request.function, source) for view in views]
    after = [elementwise.fold(target.address, out.address, prod(out.shape), parts)] if parts > 1 else []
    return [*before, *calls, *after]


def _parts(function: str, a: Buffer, b: Buffer, attrs: dict[str, Any]) -> int:
    """Into how many parts the sum over the batch is cut; they stand in the second buffer written."""
    if function == "conv2d_backward_kernel":
        return chunks.batch_parts(a.shape[0], b.shape[1] * b.shape[2])
    return chunks.row_parts(a.shape[0], a.shape[1] * b.shape[1]) if attrs.get("transpose_a") else 1


def _matmul(a: Buffer, b: Buffer, out: Buffer, attrs: dict[str, Any], parts: int,
            panels: Buffer | None) -> tuple[list[Call], int, list[Contraction], int]:
    """Calls that bring b into `panels`, if that pays or b is given transposed; where it lies then; the product; and b
    itself if the product turns its panels.
    """
    m, n = out.shape
    k = a.shape[0] if attrs["transpose_a"] else a.shape[1]
    view = contraction.matmul(m, k, n, transpose_a=attrs["transpose_a"], parts=parts)
    if panels is None or not (attrs["transpose_b"] or select.panels_pay(m, k, n)):
        return [], b.address, [view], 0
    width = _tile(view).vectors * host().lanes if len(panels.shape) == 3 else 0
    view = contraction.matmul(m, k, n, transpose_a=attrs["transpose_a"], parts=parts, width=width)
    if attrs["transpose_b"] and width and parts == 1 and select.turned_in_place(m, n, k, width):
        return [], panels.address, [view], b.address
    if attrs["transpose_b"]:
        return [transpose.transposed(b.address, panels.address, n, k, width=width)], panels.address, [view], 0
    return memory.panels(b, panels, width), panels.address, [view], 0


def _views(function: str, a: Buffer, b: Buffer, out: Buffer, attrs: dict[str, Any], parts: int) -> list[Contraction]:
    if function == "batch_matmul":
        _, right, result = attrs["steps_first"]
        *lead, k, n = exchanged(b.shape, right)
        m = exchanged(out.shape, result)[-2]
        return [contraction.batch_matmul(prod(lead[:-1]), lead[-1], m, k, n, **attrs)]
    if function == "conv2d":
        return [contraction.conv2d(a.shape, b.shape, out.shape, **attrs)]
    if function == "conv2d_backward_kernel":
        return [contraction.conv2d_backward_kernel(a.shape, out.shape, b.shape, parts=parts, **attrs)]
    outputs = attrs.pop("outputs")
    kh, kw, channels_out, cg = b.shape
    shape = (out.shape[0], *outputs, channels_out)
    return contraction.conv2d_backward_data(out.shape, (kh, kw, cg, channels_out), shape, **attrs)


def ceiling(amount: int, step: int) -> int:
    """amount / step, rounded up."""
    return -(-amount // step)


def _tile(view: Contraction) -> Tile:
    here = host()
    depth = prod(loop.count for loop in view.reduce)
    ragged = view.columns % here.lanes > 0
    most_rows = {vectors: here.rows(vectors, masked=ragged and view.columns < vectors * here.lanes)
                 for vectors in (1, 2, 3, 4)}
    return select.tile(view.rows, view.columns, depth, here.lanes, most_rows, gradient=view.row_a == 1)


def _call(view: Contraction, a: int, b: int, c: int, bias: int, body: Body, label: str, source: int) -> Call:
    here, chosen = host(), _tile(view)
    outer = prod(loop.count for loop in view.outer)
    depth = prod(loop.count for loop in view.reduce)
    block = select.blocks(outer, view.rows, view.columns, depth, chosen, here.lanes, turned=bool(source))
    row_blocks = ceiling(ceiling(view.rows, chosen.rows), block.row_tiles)
    column_tiles = view.columns // (chosen.vectors * here.lanes) + (1 if chosen.tail else 0)
    column_blocks = ceiling(column_tiles, block.column_tiles)
    loops = [Outer(1)] * (4 - len(view.outer)) + list(view.outer)
    first = len(view.outer)
    split_loop = 4 - first
    args = [a + 4 * view.offset_a, b + 4 * view.offset_b, c + 4 * view.offset_c, bias, column_blocks, row_blocks,
            block.row_tiles, block.column_tiles, view.rows, view.row_a, view.row_c, view.columns,
            view.column_b, view.split, source]
    for reduction in view.reduce:
        args += [reduction.count, reduction.a, reduction.b]
    for loop in loops:
        args += [loop.count, loop.a, loop.b, loop.c, loop.bias]
    entry = kernel(chosen, bool(bias), body, split_loop if view.split < 2**62 else -1, bool(source))
    return call(entry, args, outer * row_blocks * column_blocks, label, _flops(view, chosen, here.lanes))


def _flops(view: Contraction, chosen: Tile, lanes: int) -> int:
    """What whole tiles and whole vectors take."""
    rows = ceiling(view.rows, chosen.rows) * chosen.rows
    columns = ceiling(view.columns, lanes) * lanes
    rounds, length = prod(loop.count for loop in view.outer), view.reduce[0].count
    if view.split < 2**62:
        rounds, length = rounds // view.outer[0].count, view.split
    return 2 * rounds * rows * columns * length * view.reduce[1].count * view.reduce[2].count


@objects.compiled
def kernel(chosen: Tile, biased: bool, body: Body, split_loop: int, turned: bool) -> str:
    """The variant's LLVM IR. With `turned`, B's panels are written first, from SOURCE (columns, depth)."""
    code = Code("contract", host().lanes)
    column_blocks, row_blocks = code.arg(COLUMN_BLOCKS), code.arg(ROW_BLOCKS)
    rows, columns = code.arg(ROWS), code.arg(COLUMNS)
    row_tiles, column_tiles = code.arg(ROW_TILES), code.arg(COLUMN_TILES)
    width = chosen.vectors * code.lanes
    with code.loop(code.begin, code.end) as chunk:
        column_block = chunk.index % column_blocks
        rest = chunk.index // column_blocks
        row_block = rest % row_blocks
        rest = rest // row_blocks
        a, b, c, bias, length = _descend(code, rest, split_loop)
        first_row = row_block * row_tiles * chosen.rows
        last_row = (first_row + row_tiles * chosen.rows).minimum(rows)
        first_column = column_block * column_tiles * width
        last_column = (first_column + column_tiles * width).minimum(columns)
        whole_columns = first_column + (last_column - first_column) // width * width

        def tiles(column: Index, vectors: int, masked: bool) -> None:
            if turned:
                _turn(code, column, vectors * code.lanes, width)
            with code.loop(first_row, last_row, chosen.rows) as row:
                start = row.index.minimum(rows - chosen.rows)
                offsets = (a + start * code.arg(ROW_A), b + column * code.arg(COLUMN_B),
                           c + start * code.arg(ROW_C) + column, bias + column)
                _register_tile(code, chosen.rows, vectors, masked, biased, body, offsets, columns - column, length)

        with code.loop(first_column, whole_columns, width) as column:
            tiles(column.index, chosen.vectors, False)
        if chosen.tail:
            with code.when(whole_columns.compare("<", last_column)):
                tiles(whole_columns, chosen.tail, chosen.masked)
    return code.finish()


def _turn(code: Code, column: Index, lines: int, width: int) -> None:
    """Write the panel of these columns: the same lines of SOURCE, turned."""
    depth = code.arg(REDUCE + 6)
    panel = code.at(code.pointer(B), column * depth)
    with code.loop(0, lines, code.lanes) as line, code.loop(0, depth, code.lanes) as place:
        corner = code.at(code.pointer(SOURCE), (column + line.index) * depth + place.index)
        transpose.square(code, corner, code.at(panel, place.index * width + line.index),
                         code.arg(COLUMNS) - column - line.index, depth - place.index, depth, code.index(width))


def _descend(code: Code, rest: Index, split_loop: int) -> tuple[Index, Index, Index, Index, Index]:
    """For one round of the outer loops: offsets in A, B, C and the bias, and the length of the outermost reduction."""
    offsets = [code.index(0)] * 4
    length = code.arg(REDUCE)
    for position in reversed(range(4)):
        count, *strides = (code.arg(OUTER + 5 * position + field) for field in range(5))
        index = rest % count
        rest = rest // count
        offsets = [offset + index * stride for offset, stride in zip(offsets, strides, strict=True)]
        if position == split_loop:
            length = length.minimum(code.arg(SPLIT) - index * length)
    a, b, c, bias = offsets
    return a, b, c, bias, length


def _register_tile(code: Code, rows: int, vectors: int, masked: bool, biased: bool, body: Body,
                   offsets: tuple[Index, Index, Index, Index], columns: Index, length: Index) -> None:
    """One register tile: `rows` by `vectors` accumulators over the whole reduction, then the epilogue."""
    a, b, c, bias = offsets
    mask = code.mask(columns - (vectors - 1) * code.lanes) if masked else None
    masks = [mask if vector == vectors - 1 else None for vector in range(vectors)]
    loops = [(code.arg(REDUCE + 3 * level), code.arg(REDUCE + 3 * level + 1), code.arg(REDUCE + 3 * level + 2))
             for level in range(3)]
    loops[0] = (length, *loops[0][1:])
    totals = accumulate(code, [code.zeros()] * (rows * vectors), code.at(code.pointer(A), a),
                        code.at(code.pointer(B), b), code.arg(ROW_A), loops, masks)

    m = ScalarMath(code)
    row_c, c_pointer = code.arg(ROW_C), code.pointer(C)
    shift = [code.load(code.at(code.pointer(BIAS), bias + vector * code.lanes), mask=masks[vector]) if biased else None
             for vector in range(vectors)]
    for row in range(rows):
        for vector in range(vectors):
            value = totals[row * vectors + vector]
            if biased:
                value = code.ir.fadd(value, shift[vector])
            result = evaluate(m, body, [Vector(m, value)])
            code.store(result.value, code.at(c_pointer, c + row_c * row + vector * code.lanes), mask=masks[vector])


def accumulate(code: Code, start: Sequence[ir.Value], a: ir.Value, b: ir.Value, row_a: Index,
               loops: Sequence[tuple[Index, Index, Index]], masks: Sequence[ir.Value | None],
               vector_b: int = 0) -> Sequence[ir.Value]:
    """The micro-kernel: accumulators, a row of as many as there are `masks` behind the other, after

        for every round of the loops: accumulators += A[rows] (broadcast) * B[columns]

    from addresses `a` and `b`; a loop is its rounds and its strides in A and B, the outermost first. Vectors of B's
    columns lie `vector_b` apart, by default side by side.
    """
    (count, step_a, step_b), *inner = loops
    with code.loop(0, count, carry=start) as loop:
        a_line, b_line = code.at(a, loop.index * step_a), code.at(b, loop.index * step_b)
        if inner:
            loop.carry = accumulate(code, loop.values, a_line, b_line, row_a, inner, masks, vector_b)
        else:
            vectors = len(masks)
            apart = vector_b or code.lanes
            operand = [code.load(code.at(b_line, place * apart), mask=mask) for place, mask in enumerate(masks)]
            updated: list[ir.Value] = []
            for row in range(len(start) // vectors):
                broadcast = code.splat(code.load_scalar(code.at(a_line, row_a * row)))
                updated += [code.fma(broadcast, operand[vector], loop.values[row * vectors + vector])
                            for vector in range(vectors)]
            loop.carry = updated
    return loop.values
