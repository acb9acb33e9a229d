"""From a contraction and the host to a register tile: which variant of the kernel serves it, and in what blocks."""

from __future__ import annotations

from dataclasses import dataclass

MINIMUM_CHUNKS = 8
"""Chunks to aim at, so that a few threads share the work evenly."""


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


def tile(rows: int, columns: int, lanes: int, most_rows: dict[int, int]) -> Tile:
    """The tile for a contraction of `rows` by `columns`; `most_rows` says how tall a tile of so many vectors may be."""
    vectors = -(-columns // lanes)
    width = 4 if vectors >= 4 and rows <= most_rows.get(4, 0) else 3 if vectors == 3 else min(2, vectors)
    highest = most_rows[width]
    tall = -(-rows // -(-rows // highest)) if rows else 1
    whole = columns // (width * lanes)
    rest = columns - whole * width * lanes
    return Tile(tall, width, -(-rest // lanes), rest % lanes != 0)


def blocks(outer: int, rows: int, columns: int, chosen: Tile, lanes: int) -> Blocks:
    """One row tile a chunk and all columns, unless that makes too few chunks."""
    row_tiles = -(-rows // chosen.rows)
    column_tiles = columns // (chosen.vectors * lanes) + (1 if chosen.tail else 0)
    if outer >= MINIMUM_CHUNKS:
        return Blocks(row_tiles, column_tiles)
    if outer * row_tiles >= MINIMUM_CHUNKS:
        return Blocks(max(1, outer * row_tiles // (4 * MINIMUM_CHUNKS)), column_tiles)
    wanted = -(-MINIMUM_CHUNKS // (outer * row_tiles))
    return Blocks(1, max(1, column_tiles // wanted))
