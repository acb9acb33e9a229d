"""Rows of a table: gathered, and gradients added up.

A chunk of the gradient is some columns of the whole table, so that each element is one sum in the order of the ids
whatever the number of threads.
"""

from __future__ import annotations

import math
from math import prod

import llvmlite.ir as ir

from engine.codegen.builder import F64, I64, WIDTHS, Code, Index
from engine.codegen.host import host
from engine.codegen.objects import compiled
from engine.kernels.call import Buffer, Call, call
from engine.lowering.request import KernelRequest

CHUNK = 8192
COLUMNS = 32
"""Columns of the table that a chunk of the gradient covers."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """`gather` and `scatter`."""
    if request.function == "gather":
        (table, ids), (rows,) = reads, writes
        per_chunk = max(1, CHUNK // table.shape[1])
        args = [table.address, ids.address, rows.address, *table.shape, prod(ids.shape), per_chunk]
        return [call(gather(ids.dtype), args, -(-prod(ids.shape) // per_chunk), "embedding")]
    (ids, rows), (table,) = reads, writes
    args = [table.address, ids.address, rows.address, *table.shape, prod(ids.shape)]
    return [call(scatter(ids.dtype), args, -(-table.shape[1] // COLUMNS), "embedding_grad")]


@compiled
def gather(dtype: str) -> str:
    """NaN for an id that the table does not have. args: table, ids, target, rows, width, ids in all, ids a chunk."""
    code = Code("embedding", host().lanes)
    table, ids, target = (code.pointer(position) for position in range(3))
    rows, width, count, per_chunk = (code.arg(position) for position in range(3, 7))
    with code.loop(code.begin * per_chunk, (code.end * per_chunk).minimum(count)) as place:
        row, known = _row(code, ids, place.index, rows, dtype)
        line = code.at(target, place.index * width)
        with code.either(known) as (then, otherwise):
            with then:
                code.move(line, code.at(table, row * width), width * WIDTHS["float32"])
            with otherwise:
                code.fill(line, width, code.splat(math.nan))
    return code.finish()


@compiled
def scatter(dtype: str) -> str:
    """args: table, ids, gradients, rows, width, ids in all."""
    code = Code("embedding_grad", host().lanes)
    table, ids, gradients = (code.pointer(position) for position in range(3))
    rows, width, count = (code.arg(position) for position in range(3, 6))
    first, last = code.begin * COLUMNS, (code.end * COLUMNS).minimum(width)
    with code.loop(0, rows) as row:
        code.fill(code.at(table, row.index * width + first), last - first, code.zeros())
    with code.loop(0, count) as place:
        row_number, known = _row(code, ids, place.index, rows, dtype)
        with code.when(known), code.loop(first, last, code.lanes) as column:
            mask = code.mask(last - column.index)
            target = code.at(table, row_number * width + column.index)
            share = code.load(code.at(gradients, place.index * width + column.index), mask=mask)
            code.store(code.ir.fadd(code.load(target, mask=mask), share), target, mask=mask)
    return code.finish()


def _row(code: Code, ids: ir.Value, place: Index, rows: Index, dtype: str) -> tuple[Index, ir.Value]:
    """An id, cut down to an integer, and whether the table has that row."""
    given = code.load_scalar(code.at(ids, place, dtype), dtype)
    value = code.ir.sitofp(given, F64) if dtype == "int32" else code.ir.fpext(given, F64)
    limit = code.ir.sitofp(rows.value, F64)
    known = code.ir.and_(code.ir.fcmp_ordered(">", value, ir.Constant(F64, -1.0)),
                         code.ir.fcmp_ordered("<", value, limit))
    safe = code.ir.select(known, value, ir.Constant(F64, 0.0))
    return Index(code, code.ir.fptosi(safe, I64)), known
