"""Transposition in squares of lanes x lanes: each is read and written in whole vectors and turned in registers.

    for square of columns: for square of rows:
        target[column, row] = source[row, column]

The target's columns may lie in panels of `width`, one behind the other, as a contraction reads its right operand.
"""

from __future__ import annotations

import llvmlite.ir as ir

from engine.codegen.builder import I32, Code, Index
from engine.codegen.host import host
from engine.codegen.objects import compiled
from engine.kernels.call import Call, call

SOURCE, TARGET, MATRICES, REVERSED, ROWS, COLUMNS, SPAN, WIDTH, LINE, PANEL = range(10)
CHUNK_ELEMENTS = 8192
"""Elements to aim at in one chunk."""


def transposed(source: int, target: int, rows: int, columns: int, *, matrices: int = 1, backwards: bool = False,
               width: int = 0) -> Call:
    """Transpose `matrices` of (rows, columns), taken from the last one if `backwards`.

    With `width`, a multiple of the lanes, target columns (source rows) lie in panels (columns, width), one behind the
    other; without, in lines of `rows`.
    """
    lanes = host().lanes
    span = max(1, CHUNK_ELEMENTS // (rows * lanes)) * lanes
    line, panel = (width, width * columns) if width else (rows, 0)
    args = [source, target, matrices, int(backwards), rows, columns, span, width or 2**62, line, panel]
    return call(exchange(), args, matrices * -(-columns // span), "transpose")


@compiled
def exchange() -> str:
    """A chunk is SPAN columns of a matrix's source, over all its rows."""
    code = Code("transpose", host().lanes)
    lanes = code.lanes
    rows, columns, span = code.arg(ROWS), code.arg(COLUMNS), code.arg(SPAN)
    width, line, panel = code.arg(WIDTH), code.arg(LINE), code.arg(PANEL)
    per_matrix = (columns + span - 1) // span
    from_, to = code.pointer(SOURCE), code.pointer(TARGET)
    backwards = code.arg(REVERSED)
    with code.loop(code.begin, code.end) as chunk:
        matrix = chunk.index // per_matrix
        origin = matrix + backwards * (code.arg(MATRICES) - 1 - matrix * 2)
        first = chunk.index % per_matrix * span
        last = (first + span).minimum(columns)
        with code.loop(0, rows, lanes) as row, code.loop(first, last, lanes) as column:
            inside = row.index // width
            corner = code.at(from_, (origin * rows + row.index) * columns + column.index)
            goal = code.at(to, matrix * rows * columns + inside * panel + row.index - inside * width
                           + column.index * line)
            square(code, corner, goal, rows - row.index, last - column.index, columns, line)
    return code.finish()


def square(code: Code, corner: ir.Value, goal: ir.Value, left: Index, below: Index, columns: Index,
           line: Index) -> None:
    """Turn lanes x lanes elements from `corner`, in lines of `columns`, to `goal`, in lines of `line`: as many as are
    `left` of the source's rows and `below` of its columns.
    """
    whole = code.ir.and_(left.compare(">=", code.lanes), below.compare(">=", code.lanes))
    with code.ir.if_else(whole) as (then, otherwise):
        with then:
            vectors = [code.load(code.at(corner, columns * place)) for place in range(code.lanes)]
            for place, vector in enumerate(turned(code, vectors)):
                code.store(vector, code.at(goal, line * place))
        with otherwise:
            _edge(code, corner, goal, left, below, columns, line)


def _edge(code: Code, corner: ir.Value, goal: ir.Value, left: Index, below: Index, columns: Index, line: Index) -> None:
    """A square that is not full, element by element."""
    with code.loop(0, below.minimum(code.lanes)) as column, code.loop(0, left.minimum(code.lanes)) as row:
        value = code.load_scalar(code.at(corner, row.index * columns + column.index))
        code.ir.store(value, code.at(goal, column.index * line + row.index))


def turned(code: Code, vectors: list[ir.Value]) -> list[ir.Value]:
    """The transpose of a square of as many vectors as lanes: exchanges of halves, quarters, ... single lanes."""
    lanes, vectors = code.lanes, list(vectors)
    kind = ir.VectorType(I32, lanes)
    for distance in (1 << bit for bit in range(lanes.bit_length() - 1)):
        upper = ir.Constant(kind, [lane if not lane & distance else lanes + lane - distance for lane in range(lanes)])
        lower = ir.Constant(kind, [lane + distance if not lane & distance else lanes + lane for lane in range(lanes)])
        for place in range(lanes):
            if not place & distance:
                one, other = vectors[place], vectors[place + distance]
                vectors[place] = code.ir.shuffle_vector(one, other, upper)
                vectors[place + distance] = code.ir.shuffle_vector(one, other, lower)
    return vectors
