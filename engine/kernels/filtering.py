"""Winograd's transforms of tiles as vector code: the same linear map along the columns and the rows of a square."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import llvmlite.ir as ir

from engine.codegen.builder import Code
from engine.lowering.winograd import Matrix

Row = Sequence[Fraction]


def squared(code: Code, matrix: Matrix, load: Callable[[int, int], ir.Value],
            store: Callable[[int, int, ir.Value], None]) -> None:
    """matrix x square x matrix^T, of a square that `load(row, column)` reads, each result handed to `store`."""
    size = len(matrix[0])
    columns = [apply(code, matrix, [load(row, column) for row in range(size)]) for column in range(size)]
    for row in range(len(matrix)):
        for column, value in enumerate(apply(code, matrix, [values[row] for values in columns])):
            store(row, column, value)


def apply(code: Code, matrix: Sequence[Row], values: Sequence[ir.Value]) -> list[ir.Value]:
    """matrix x values. Sums and differences that columns or rows of opposite points share are formed once."""
    rows, values = _share_columns(code, [list(row) for row in matrix], list(values))
    results: list[ir.Value | None] = [None] * len(rows)
    for first, row in enumerate(rows):
        if results[first] is not None:
            continue
        second = next((place for place in range(first + 1, len(rows)) if _opposite(row, rows[place])), None)
        if second is None:
            results[first] = _combination(code, row, values)
            continue
        even = [a if a == b else Fraction(0) for a, b in zip(row, rows[second], strict=True)]
        odd = [a if a != b else Fraction(0) for a, b in zip(row, rows[second], strict=True)]
        one, other = _combination(code, even, values), _combination(code, odd, values)
        results[first], results[second] = code.ir.fadd(one, other), code.ir.fsub(one, other)
    return results


def _opposite(row: Row, other: Row) -> bool:
    """Whether two rows differ only in signs, and share more than one term of either kind or both kinds."""
    if any(abs(a) != abs(b) for a, b in zip(row, other, strict=True)):
        return False
    terms = [(a == b) for a, b in zip(row, other, strict=True) if a]
    return True in terms and False in terms


def _share_columns(code: Code, rows: list[list[Fraction]], values: list[ir.Value]) -> tuple[list[list[Fraction]],
                                                                                             list[ir.Value]]:
    """Columns that differ only in signs become their sum and their difference."""
    columns = list(zip(*rows, strict=True))
    for first in range(len(columns)):
        for second in range(first + 1, len(columns)):
            if _opposite(columns[first], columns[second]):
                one, other = values[first], values[second]
                values[first], values[second] = code.ir.fadd(one, other), code.ir.fsub(one, other)
                for row in rows:
                    if row[first] == row[second]:
                        row[second] = Fraction(0)
                    else:
                        row[first] = Fraction(0)
                        row[second] = -row[second]
                columns = list(zip(*rows, strict=True))
    return rows, values


def _combination(code: Code, row: Row, values: Sequence[ir.Value]) -> ir.Value:
    """The sum of row[i] * values[i], starting with a term that needs no multiplication if there is one."""
    terms = [(factor, value) for factor, value in zip(row, values, strict=True) if factor]
    terms.sort(key=lambda term: (term[0] != 1, term[0] == -1))
    total: ir.Value | None = None
    for factor, value in terms:
        if total is None:
            total = value if factor == 1 else code.ir.fmul(code.splat(float(factor)), value)
        elif factor == 1:
            total = code.ir.fadd(total, value)
        elif factor == -1:
            total = code.ir.fsub(total, value)
        else:
            total = code.fma(code.splat(float(factor)), value, total)
    return total
