"""Sparsemax of rows: a row's threshold is found and subtracted. A chunk is some rows.

The threshold t makes the sum of max(x - t, 0) one. It rises from that of all elements to that of those above it, until
no more of them fall out (C. Michelot, J. Optim. Theory Appl. 50, 1986): some rounds, and no sorting. NaN makes
the whole row NaN.
"""

from __future__ import annotations

import math
from math import prod

import llvmlite.ir as ir

from engine.codegen.builder import F64, Code, Index
from engine.codegen.host import host
from engine.codegen.objects import compiled
from engine.kernels.call import Buffer, Call, call
from engine.lowering.request import KernelRequest

CHUNK = 1024
"""Elements to aim at in one chunk."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """The only function is forward."""
    (x,), (y,) = reads, writes
    width, rows = x.shape[-1], prod(x.shape[:-1])
    per_chunk = max(1, CHUNK // width)
    return [call(forward(), [x.address, y.address, rows, width, per_chunk], -(-rows // per_chunk), "sparsemax")]


@compiled
def forward() -> str:
    """args: x, y, rows, width, rows a chunk."""
    code = Code("sparsemax", host().lanes)
    rows, width, per_chunk = (code.arg(position) for position in range(2, 5))
    doubles = ir.VectorType(F64, code.lanes)
    nothing = ir.Constant(doubles, [0.0] * code.lanes)
    one = code.splat(ir.Constant(F64, 1.0), "float64")
    with code.loop(code.begin * per_chunk, (code.end * per_chunk).minimum(rows)) as row:
        x, y = (code.at(code.pointer(number), row.index * width) for number in range(2))
        lowest = code.splat(ir.Constant(F64, -math.inf), "float64")
        with code.loop(0, width, carry=[lowest, code.index(0).value]) as turn:
            threshold, settled = turn.values
            stop = code.choose(Index(code, settled).compare("==", 0), width, 0)
            with code.loop(0, stop, code.lanes, carry=[nothing, nothing]) as column:
                value = _doubles(code, x, column.index, width, doubles)
                above = code.ir.fcmp_unordered(">", value, threshold)
                column.carry = [code.ir.fadd(total, code.ir.select(above, share, nothing))
                                for total, share in zip(column.values, (value, one), strict=True)]
            total, count = (code.across(value, code.ir.fadd) for value in column.values)
            found = code.ir.fdiv(code.ir.fsub(total, one), count)
            risen = code.first(code.ir.fcmp_unordered(">", found, threshold))
            turn.carry = [code.ir.select(risen, found, threshold),
                          code.choose(risen, 0, 1).value]
        threshold = turn.values[0]
        with code.loop(0, width, code.lanes) as column:
            value = _doubles(code, x, column.index, width, doubles)
            rest = code.ir.fptrunc(code.ir.fsub(value, threshold), code.vector)
            kept = code.ir.select(code.ir.fcmp_ordered("<", rest, code.zeros()), code.zeros(), rest)
            code.store(kept, code.at(y, column.index), mask=code.mask(width - column.index))
    return code.finish()


def _doubles(code: Code, x: ir.Value, column: Index, width: Index, doubles: ir.Type) -> ir.Value:
    """Elements of a row; negative infinity behind its end."""
    loaded = code.load(code.at(x, column), mask=code.mask(width - column), otherwise=-math.inf)
    return code.ir.fpext(loaded, doubles)
