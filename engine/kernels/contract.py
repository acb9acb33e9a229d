"""The contraction family: one micro-kernel per register tile, with every stride a runtime argument.

    for chunk: for column tile: for row tile:
        accumulators = 0
        for r: for s: for k:  accumulators += A[rows, k] (broadcast) * B[k, columns]
        C = epilogue(accumulators + bias)
"""

from __future__ import annotations

from math import prod
from typing import Any

import llvmlite.ir as ir

from engine.codegen import objects
from engine.codegen.builder import Code, Index
from engine.codegen.host import host
from engine.codegen.scalar import ScalarMath, Vector
from engine.expressions import Body, evaluate
from engine.kernels import elementwise
from engine.kernels.call import Buffer, Call, call
from engine.lowering import chunks, contraction
from engine.lowering.contraction import Contraction, Outer
from engine.lowering.request import KernelRequest
from engine.lowering.select import Tile, blocks, tile

(A, B, C, BIAS, COLUMN_BLOCKS, ROW_BLOCKS, ROW_TILES, COLUMN_TILES, ROWS, ROW_A, ROW_C, COLUMNS, SPLIT, REDUCE) = (
    range(14)
)
OUTER = REDUCE + 9


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """Calls of one request. `function` is matmul, conv2d, conv2d_backward_data or conv2d_backward_kernel."""
    attrs = dict(request.attrs)
    body: Body = attrs.pop("epilogue", ())
    a, b, out = reads[0], reads[1], writes[0]
    bias = reads[2] if len(reads) > 2 else None
    parts = _parts(request.function, a, b, attrs)
    target = writes[1] if parts > 1 else out
    views = _views(request.function, a, b, out, attrs, parts)
    calls = [
        _call(view, a.address, b.address, target.address, bias.address if bias else 0, body, request.function)
        for view in views
    ]
    return calls if parts == 1 else [*calls, elementwise.fold(target.address, out.address, prod(out.shape), parts)]


def _parts(function: str, a: Buffer, b: Buffer, attrs: dict[str, Any]) -> int:
    """Into how many parts the sum over the batch is cut; they stand in the second buffer written."""
    if function == "conv2d_backward_kernel":
        return chunks.batch_parts(a.shape[0], b.shape[1] * b.shape[2])
    return chunks.row_parts(a.shape[0]) if attrs.get("transpose_a") else 1


def _views(function: str, a: Buffer, b: Buffer, out: Buffer, attrs: dict[str, Any], parts: int) -> list[Contraction]:
    if function == "matmul":
        m, n = out.shape
        k = a.shape[0] if attrs["transpose_a"] else a.shape[1]
        return [contraction.matmul(m, k, n, transpose_a=attrs["transpose_a"], parts=parts)]
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


def _call(view: Contraction, a: int, b: int, c: int, bias: int, body: Body, label: str) -> Call:
    here = host()
    chosen = tile(view.rows, view.columns, here.lanes, {vectors: here.rows(vectors) for vectors in (1, 2, 3, 4)})
    outer = prod(loop.count for loop in view.outer)
    block = blocks(outer, view.rows, view.columns, chosen, here.lanes)
    row_blocks = ceiling(ceiling(view.rows, chosen.rows), block.row_tiles)
    column_tiles = view.columns // (chosen.vectors * here.lanes) + (1 if chosen.tail else 0)
    column_blocks = ceiling(column_tiles, block.column_tiles)
    loops = [Outer(1)] * (4 - len(view.outer)) + list(view.outer)
    first = len(view.outer)
    split_loop = 4 - first
    args = [a + 4 * view.offset_a, b + 4 * view.offset_b, c + 4 * view.offset_c, bias, column_blocks, row_blocks,
            block.row_tiles, block.column_tiles, view.rows, view.row_a, view.row_c, view.columns, view.split]
    for reduction in view.reduce:
        args += [reduction.count, reduction.a, reduction.b]
    for loop in loops:
        args += [loop.count, loop.a, loop.b, loop.c, loop.bias]
    entry = kernel(chosen, bool(bias), body, split_loop if view.split < 2**62 else -1)
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
def kernel(chosen: Tile, biased: bool, body: Body, split_loop: int) -> str:
    """The variant's LLVM IR."""
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
            with code.loop(first_row, last_row, chosen.rows) as row:
                start = row.index.minimum(rows - chosen.rows)
                _tile(code, chosen.rows, vectors, masked, biased, body, a + start * code.arg(ROW_A), b + column,
                      c + start * code.arg(ROW_C) + column, bias + column, columns - column, length)

        with code.loop(first_column, whole_columns, width) as column:
            tiles(column.index, chosen.vectors, False)
        if chosen.tail:
            with code.when(whole_columns.compare("<", last_column)):
                tiles(whole_columns, chosen.tail, chosen.masked)
    return code.finish()


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


def _tile(code: Code, rows: int, vectors: int, masked: bool, biased: bool, body: Body, a: Index, b: Index, c: Index,
          bias: Index, columns: Index, length: Index) -> None:
    """One register tile: `rows` by `vectors` accumulators over the whole reduction, then the epilogue."""
    mask = code.mask(columns - (vectors - 1) * code.lanes) if masked else None
    masks = [mask if vector == vectors - 1 else None for vector in range(vectors)]
    (_, r_a, r_b, s_count, s_a, s_b, k_count, k_a, k_b) = (code.arg(REDUCE + field) for field in range(9))
    row_a, row_c = code.arg(ROW_A), code.arg(ROW_C)
    a_pointer, b_pointer = code.pointer(A), code.pointer(B)
    row_offsets = [row_a * row for row in range(rows)]

    accumulators = [code.zeros()] * (rows * vectors)
    with code.loop(0, length, carry=accumulators) as r:
        with code.loop(0, s_count, carry=r.values) as s:
            a_start = code.at(a_pointer, a + r.index * r_a + s.index * s_a)
            b_start = code.at(b_pointer, b + r.index * r_b + s.index * s_b)
            with code.loop(0, k_count, carry=s.values) as k:
                b_line = code.at(b_start, k.index * k_b)
                operand = [
                    code.load(code.at(b_line, vector * code.lanes), mask=masks[vector]) for vector in range(vectors)
                ]
                a_line = code.at(a_start, k.index * k_a)
                updated: list[ir.Value] = []
                for row in range(rows):
                    broadcast = code.splat(code.load_scalar(code.at(a_line, row_offsets[row])))
                    updated += [
                        code.fma(broadcast, operand[vector], k.values[row * vectors + vector])
                        for vector in range(vectors)
                    ]
                k.carry = updated
            s.carry = k.values
        r.carry = s.values

    m = ScalarMath(code)
    c_pointer = code.pointer(C)
    shift = [code.load(code.at(code.pointer(BIAS), bias + vector * code.lanes), mask=masks[vector]) if biased else None
             for vector in range(vectors)]
    for row in range(rows):
        for vector in range(vectors):
            value = r.values[row * vectors + vector]
            if biased:
                value = code.ir.fadd(value, shift[vector])
            result = evaluate(m, body, [Vector(m, value)])
            code.store(result.value, code.at(c_pointer, c + row_c * row + vector * code.lanes), mask=masks[vector])

