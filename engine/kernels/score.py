"""What metrics count: the largest of a row, membership in the top k, one-hot rows, and counts at thresholds."""

from __future__ import annotations

import math
from math import prod

import llvmlite.ir as ir

from engine.codegen.builder import F32, F64, I32, I64, Code, Index
from engine.codegen.host import host
from engine.codegen.objects import compiled
from engine.kernels.call import Buffer, Call, call
from engine.lowering.request import KernelRequest

CHUNK = 8192
"""Elements to aim at in one chunk."""
COLUMNS = 64
"""Thresholds in one chunk of a histogram."""
EDGE = 1e-7
"""How far the outermost thresholds lie outside [0, 1], as in Keras's AUC."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """The functions below by name."""
    addresses = [buffer.address for buffer in (*reads, *writes)]
    first, out = reads[0], writes[0]
    if request.function == "histogram":
        thresholds = out.shape[1]
        args = [first.shape[0], thresholds, *addresses]
        return [call(histogram(), args, -(-thresholds // COLUMNS), "histogram")]
    if request.function == "one_hot":
        return [_rows(one_hot(), prod(first.shape), out.shape[-1], addresses, "one_hot")]
    rows, width = prod(first.shape[:-1]), first.shape[-1]
    if request.function == "argmax":
        return [_rows(argmax(), rows, width, addresses, "argmax")]
    return [_rows(in_top_k(), rows, width, [*addresses, request.attrs["k"]], "in_top_k")]


def _rows(entry: int, rows: int, width: int, more: list[int], label: str) -> Call:
    per_chunk = max(1, CHUNK // width)
    return call(entry, [rows, width, per_chunk, *more], -(-rows // per_chunk), label)


@compiled
def argmax() -> str:
    """The first of the largest, or the first NaN. args: rows, width, rows a chunk, x, positions."""
    code = Code("argmax", host().lanes)
    rows, width, per_chunk, x, out = _arguments(code)
    with code.loop(code.begin * per_chunk, (code.end * per_chunk).minimum(rows)) as row:
        start = code.at(x, row.index * width)
        with code.loop(1, width, carry=[code.load_scalar(start), ir.Constant(I64, 0)]) as column:
            best, position = column.values
            value = code.load_scalar(code.at(start, column.index))
            wins = code.ir.and_(code.ir.fcmp_unordered("<", best, value), code.ir.fcmp_ordered("==", best, best))
            column.carry = [code.ir.select(wins, value, best),
                            code.ir.select(wins, column.index.value, position)]
        code.store_scalar(code.ir.trunc(column.values[1], I32), code.at(out, row.index, "int32"))
    return code.finish()


@compiled
def in_top_k() -> str:
    """A hit has fewer than k larger scores and no score that is not finite.

    args: rows, width, rows a chunk, scores, labels, hits, k.
    """
    code = Code("in_top_k", host().lanes)
    rows, width, per_chunk, scores, labels = _arguments(code)
    out, k = code.pointer(5), code.arg(6)
    with code.loop(code.begin * per_chunk, (code.end * per_chunk).minimum(rows)) as row:
        start = code.at(scores, row.index * width)
        label, known = _label(code, labels, row.index, width)
        own = code.load_scalar(code.at(start, code.choose(known, label, 0)))
        with code.loop(0, width, carry=[ir.Constant(I64, 0), known]) as column:
            larger, good = column.values
            score = code.load_scalar(code.at(start, column.index))
            above = code.ir.zext(code.ir.fcmp_ordered(">", score, own), I64)
            finite = code.ir.fcmp_ordered("<", code.call("llvm.fabs.f32", F32, [score]), ir.Constant(F32, math.inf))
            column.carry = [code.ir.add(larger, above), code.ir.and_(good, finite)]
        hit = code.ir.and_(column.values[1], Index(code, column.values[0]).compare("<", k))
        code.store_scalar(code.ir.uitofp(hit, F32), code.at(out, row.index))
    return code.finish()


@compiled
def one_hot() -> str:
    """args: rows, depth, rows a chunk, labels, result."""
    code = Code("one_hot", host().lanes)
    rows, depth, per_chunk, labels, out = _arguments(code)
    with code.loop(code.begin * per_chunk, (code.end * per_chunk).minimum(rows)) as row:
        start = code.at(out, row.index * depth)
        code.fill(start, depth, code.zeros())
        label, known = _label(code, labels, row.index, depth)
        with code.when(known):
            code.store_scalar(ir.Constant(F32, 1.0), code.at(start, label))
    return code.finish()


def _arguments(code: Code) -> tuple[Index, Index, Index, ir.Value, ir.Value]:
    """The first five."""
    return code.arg(0), code.arg(1), code.arg(2), code.pointer(3), code.pointer(4)


def _label(code: Code, labels: ir.Value, row: Index, width: Index) -> tuple[Index, ir.Value]:
    """A row's label, and whether there is such a column."""
    label = Index(code, code.ir.sext(code.load_scalar(code.at(labels, row, "int32"), "int32"), I64))
    return label, code.ir.and_(label.compare(">=", 0), label.compare("<", width))


@compiled
def histogram() -> str:
    """Example by example, all thresholds of a chunk at a time, in double precision: a float32 stops counting at 2^24.

    args: examples, thresholds, scores, labels, weights, result (4, thresholds).
    """
    code = Code("histogram", host().lanes)
    count, thresholds = code.arg(0), code.arg(1)
    scores, labels, weights, out = (code.pointer(position) for position in range(2, 6))
    cuts, counts = code.local(COLUMNS), code.local(4 * COLUMNS, "float64")
    doubles = ir.VectorType(F64, code.lanes)
    nothing = ir.Constant(doubles, [0.0] * code.lanes)
    with code.loop(code.begin, code.end) as chunk:
        first = chunk.index * COLUMNS
        width = (thresholds - first).minimum(COLUMNS)
        with code.loop(0, COLUMNS) as column:
            code.store_scalar(_cut(code, first + column.index, thresholds), code.at(cuts, column.index))
        with code.loop(0, 4 * COLUMNS, code.lanes) as cell:
            code.store(nothing, code.at(counts, cell.index, "float64"), "float64")
        with code.loop(0, count) as example:
            score = code.splat(code.load_scalar(code.at(scores, example.index)))
            weight = code.splat(code.ir.fpext(code.load_scalar(code.at(weights, example.index)), F64), "float64")
            zero = ir.Constant(F32, 0.0)
            positive = code.ir.fcmp_ordered(">", code.load_scalar(code.at(labels, example.index)), zero)
            over, under = (code.at(counts, code.choose(positive, *cells) * COLUMNS, "float64")
                           for cells in ((0, 1), (3, 2)))
            with code.loop(0, COLUMNS, code.lanes) as column:
                above = code.ir.fcmp_ordered(">", score, code.load(code.at(cuts, column.index)))
                for place, share in ((over, code.ir.select(above, weight, nothing)),
                                     (under, code.ir.select(above, nothing, weight))):
                    cell = code.at(place, column.index, "float64")
                    code.store(code.ir.fadd(code.load(cell, "float64"), share), cell, "float64")
        for cell_row in range(4):
            with code.loop(0, width) as column:
                cell = code.at(counts, column.index + cell_row * COLUMNS, "float64")
                total = code.ir.fptrunc(code.load_scalar(cell, "float64"), F32)
                code.store_scalar(total, code.at(out, thresholds * cell_row + first + column.index))
    return code.finish()


def _cut(code: Code, number: Index, thresholds: Index) -> ir.Value:
    """number / (thresholds - 1), the first and last one an edge outside."""
    last = thresholds - 1
    cut = code.ir.fdiv(code.ir.sitofp(number.value, F64), code.ir.sitofp(last.value, F64))
    cut = code.ir.select(number.compare("==", last), ir.Constant(F64, 1.0 + EDGE), cut)
    return code.ir.fptrunc(code.ir.select(number.compare("==", 0), ir.Constant(F64, -EDGE), cut), F32)
