"""From a contraction and the host to a register tile: which variant of the kernel serves it, and in what blocks."""

from __future__ import annotations

from dataclasses import dataclass

from engine.types import Batch

MINIMUM_CHUNKS = 8
"""Chunks to aim at, so that a few threads share the work evenly."""


PANEL_ROWS, PANEL_ELEMENTS = 512, 2**18
"""Rows from which, and elements of the right operand beyond which, a copy of it in panels pays: 68 % of the peak become
98 % at 1024 x 1024 x 1024, where lines 4 KB apart meet in the same few lines of the cache."""
WIDEST_PANEL = 64
"""Columns of a panel on any host, at most: four vectors of sixteen lanes."""
BLOCK_ELEMENTS = 2**16
"""Of the left operand in one chunk, while the right one passes by: a quarter of the smallest second-level cache."""


@dataclass(frozen=True)
class Tile:
    """`rows` by `vectors` accumulators.

    `tail` vectors serve the columns that remain; the last one is `masked` where it is not full.
    """

    rows: int
    vectors: int
    tail: int
    masked: bool


@dataclass(frozen=True)
class Blocks:
    """Row tiles and column tiles that one chunk covers."""

    row_tiles: int
    column_tiles: int


def panels_possible(k: int | Batch, n: int | Batch) -> bool:
    """Whether memory for the right operand in panels is planned. An open batch may be large."""
    lengths = [PANEL_ROWS if isinstance(length, Batch) else length for length in (k, n)]
    return lengths[0] * lengths[1] >= PANEL_ELEMENTS


def panels_pay(m: int, k: int, n: int) -> bool:
    """Whether (m, k) by (k, n) is quicker with the right operand copied into panels as wide as a tile."""
    return m >= PANEL_ROWS and panels_possible(k, n)


def tile(rows: int, columns: int, depth: int, lanes: int, most_rows: dict[int, int]) -> Tile:
    """The tile for a contraction of `rows` by `columns`; `most_rows` says how tall a tile of so many vectors may be."""
    vectors = -(-columns // lanes)
    wide = vectors >= 4 and (rows <= most_rows.get(4, 0) or panels_pay(rows, depth, columns))
    width = 4 if wide else 3 if vectors == 3 else min(2, vectors)
    highest = most_rows[width]
    tall = -(-rows // -(-rows // highest)) if rows else 1
    whole = columns // (width * lanes)
    rest = columns - whole * width * lanes
    return Tile(tall, width, -(-rest // lanes), rest % lanes != 0)


def blocks(outer: int, rows: int, columns: int, depth: int, chosen: Tile, lanes: int) -> Blocks:
    """All row tiles a chunk and all columns, unless that makes too few chunks or too large ones."""
    row_tiles = -(-rows // chosen.rows)
    column_tiles = columns // (chosen.vectors * lanes) + (1 if chosen.tail else 0)
    most = max(1, BLOCK_ELEMENTS // max(1, depth * chosen.rows))
    if outer >= MINIMUM_CHUNKS:
        return Blocks(min(row_tiles, most), column_tiles)
    if outer * row_tiles >= MINIMUM_CHUNKS:
        return Blocks(max(1, min(most, outer * row_tiles // (4 * MINIMUM_CHUNKS))), column_tiles)
    wanted = -(-MINIMUM_CHUNKS // (outer * row_tiles))
    return Blocks(1, max(1, column_tiles // wanted))
