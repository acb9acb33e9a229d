"""Tensors of (rows, channels) as lines: as many whole rows as make a long contiguous loop, whatever the channels.

What belongs to channels is repeated along a line (`tile`), sums of a line's rows are added up in order (`fold`). All of
it follows from the shape alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import gcd

import llvmlite.ir as ir

from engine.codegen.builder import I64, Code, Index

LINE = 512
"""Elements of a line to aim at; longer rows are cut into blocks of so many columns where they are summed."""
MOST = 1024
"""Elements of a line, at most, where it holds several rows."""
VECTOR = 16
"""The widest vectors: lines are whole vectors of any host's, so that what a line holds depends on the shape alone."""

SIDE = 4
"""Vectors of a row that are added up side by side."""

Combine = Callable[[ir.Value, ir.Value], ir.Value]
Term = Callable[[Index, ir.Value | None], Sequence[ir.Value]]
Work = Callable[[Index, Sequence[Index], ir.Value | None], None]
"""Emits the work on one vector of columns of some lines: (first column, the lines' offsets, mask)."""


def rows_together(channels: int) -> int:
    """Rows of a line: whole vectors if that is possible."""
    unit = VECTOR // gcd(channels, VECTOR)
    if channels * unit <= LINE:
        return LINE // (channels * unit) * unit
    return unit if channels * unit <= MOST else max(1, LINE // channels)


def scratch(code: Code) -> ir.Value:
    """A line of the thread's own, with room for one vector that reaches beyond its end."""
    return code.address(Index(code, code.ir.ptrtoint(code.local(MOST + VECTOR), I64)))


def vectors(code: Code, count: Index, work: Callable[[Index, ir.Value | None], None]) -> None:
    """`work(column, mask)` over `count` columns: whole vectors, then a masked one."""
    whole = count // code.lanes * code.lanes
    with code.loop(0, whole, code.lanes) as column:
        work(column.index, None)
    with code.when(whole.compare("<", count)):
        work(whole, code.mask(count - whole))


def tile(code: Code, source: ir.Value, line: ir.Value, channels: Index, together: Index) -> None:
    """Fill a line with repetitions of a row. Each one writes over the end of the last, which may be too long."""
    with code.loop(0, together) as row:
        target = code.at(line, row.index * channels)
        vectors(code, channels, lambda column, mask: code.store(code.load(code.at(source, column), mask=mask),
                                                                code.at(target, column)))


def clear(code: Code, line: ir.Value, span: Index, value: float = 0.0) -> None:
    """One number in all of a line, and in what is left of its last vector."""
    with code.loop(0, span, code.lanes) as column:
        code.store(code.splat(value), code.at(line, column.index))


def fold(code: Code, line: ir.Value, channels: Index, together: Index, combine: Combine | None = None) -> None:
    """Add the rows of a line to its first one, in order, or combine them otherwise."""
    combine = combine or code.ir.fadd

    def column(start: Index, mask: ir.Value | None) -> None:
        first = code.at(line, start)
        with code.loop(1, together, carry=[code.load(first, mask=mask)]) as row:
            other = code.load(code.at(first, row.index * channels), mask=mask)
            row.carry = [combine(row.values[0], other)]
        code.store(row.values[0], first, mask=mask)

    vectors(code, channels, column)


def sweep(code: Code, step: Index, span: Index, whole: Index, rest: Index, work: Work, *, group: int = 1) -> None:
    """Work over `whole` lines of `span` elements, `step` apart, and `rest` elements of one more.

    Lines of whole vectors are taken `group` at a time. One at a time is quicker where several tensors are read, or one
    is written: so many streams are more than a processor prefetches (measured: 8 MB tensors, up to half as long).
    """
    single = code.index(0)
    if group > 1:
        single = code.choose((span % code.lanes).compare("==", 0), whole // group * group, 0)
        with code.loop(0, single, group) as line, code.loop(0, span, code.lanes) as column:
            start = line.index * step
            work(column.index, [start + step * number for number in range(group)], None)
    with code.loop(single, whole + rest.minimum(1)) as line:
        count = code.choose(line.index.compare("==", whole), rest, span)
        vectors(code, count, lambda column, mask: work(column, [line.index * step], mask))


def tree(code: Code, values: Sequence[ir.Value], combine: Combine | None = None) -> ir.Value:
    """The sum of neighbours, and so on; or what else `combine` makes of two."""
    combine = combine or code.ir.fadd
    level = list(values)
    while len(level) > 1:
        level = [combine(*level[at:at + 2]) if at + 1 < len(level) else level[at] for at in range(0, len(level), 2)]
    return level[0]


def totals(code: Code, width: Index, count: int, term: Term, combine: Combine | None = None,
           neutral: float = 0.0) -> list[ir.Value]:
    """Sums over a row of each of the `count` vectors that `term(column, mask)` gives, in every lane.

    With `combine`, which takes its operands either way round, something else than sums; `neutral` changes nothing.
    """
    combine = combine or code.ir.fadd
    side = code.lanes * SIDE
    wide, whole = width // side * side, width // code.lanes * code.lanes
    with code.loop(0, wide, side, carry=[code.splat(neutral)] * (SIDE * count)) as several:
        found = [term(several.index + code.lanes * place, None) for place in range(SIDE)]
        several.carry = [combine(several.values[place * count + which], found[place][which])
                         for place in range(SIDE) for which in range(count)]
    sums = [tree(code, several.values[which::count], combine) for which in range(count)]
    with code.loop(wide, whole, code.lanes, carry=sums) as one:
        one.carry = [combine(value, new) for value, new in zip(one.values, term(one.index, None), strict=True)]
    with code.loop(whole, width, code.lanes, carry=one.values) as last:
        mask = code.mask(width - last.index)
        new = [code.ir.select(mask, value, code.splat(neutral)) for value in term(last.index, mask)]
        last.carry = [combine(value, more) for value, more in zip(last.values, new, strict=True)]
    return [code.across(value, combine) for value in last.values]


class Part:
    """One chunk of sums over rows: a part of the rows, a block of the columns.

    The kernel's first arguments are rows, channels, rows a part, blocks of columns, rows a line.
    """

    def __init__(self, code: Code, chunk: Index) -> None:
        rows, self.channels, length, blocks, self.together = (code.arg(position) for position in range(5))
        self.number = chunk // blocks
        self.column = chunk % blocks * LINE
        self.width = (self.channels - self.column).minimum(LINE)
        self.step, self.span = self.channels * self.together, self.width * self.together
        self.start = self.number * length
        self.stop = (self.start + length).minimum(rows)
