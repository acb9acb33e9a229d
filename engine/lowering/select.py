"""Which variant of a kernel serves a contraction: the algorithm by its shape, register tile and blocks by the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from engine.types import Batch

Numerics = Literal["direct", "winograd2", "winograd4"]
"""The part of a plan's schedule that may change results: the largest tile of Winograd's convolution that is allowed.

Largest errors measured, in standard deviations of the output, 16 to 128 channels: direct 5e-6 and kernel gradients
6e-6; winograd2 2e-6 and 6e-6; winograd4 1.1e-5 and 1e-5.
"""
NUMERICS: tuple[Numerics, ...] = get_args(Numerics)

SMALL_FLOPS = 300_000
"""What one thread does in 3 us: sharing it out would take as long."""
MINIMUM_CHUNKS = 8
"""Chunks to aim at, so that a few threads share the work evenly."""


PANELS_PAY = ((512, 2**18), (2048, 2**14))
"""Rows from which, and elements of the right operand beyond which, a copy of it in panels pays: 68 % of the peak become
98 % at 1024 x 1024 x 1024, where lines 4 KB apart meet in the same few lines of the cache; 1.05 to 1.11 times the speed
at 4096 x 256 x 256 and 16384 x 128 x 128."""
WIDE_PAYS = (128, 512, 512)
"""Rows, depth and columns from which a tile takes four vectors of a line at once for a kernel's gradient, where no
panels pay: lines 2 KB apart meet in an eighth of the second-level cache. 1.05 times the speed at 128 x 4096 x 512 in
eight parts, as of a recurrent kernel, 1.14 at 128 x 4096 x 1024, 1.08 at 256 x 4096 x 1024."""
WIDEST_PANEL = 64
"""Columns of a panel on any host, at most: four vectors of sixteen lanes."""
BLOCK_ELEMENTS = 2**16
"""Of the left operand in one chunk, while the right one passes by: a quarter of the smallest second-level cache."""


WINOGRAD_CHANNELS = 16
"""Channels and filters are multiples of it: the widest vector."""
WINOGRAD_SHARE = 0.5
"""Of direct convolution's products, waste at the border included, above which Winograd's does not gain."""
WINOGRAD_MATRIX, WINOGRAD_GRADIENT = 2**16, 2**14
"""Channels x filters up to which transformed kernels are small enough, and sums of transformed gradients."""


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


def winograd_tile(numerics: Numerics, outputs: tuple[int, int], kernel: tuple[int, ...], *, gradient: bool) -> int:
    """The tile m of Winograd's convolution for a kernel (height, width, channels, filters), or 0 for the direct one.

    `outputs` are height and width of the result; `gradient` says that the kernel's gradient is wanted. Stride and
    dilation are 1.
    """
    *window, channels, filters = kernel
    m = {"direct": 0, "winograd2": 2, "winograd4": 4}[numerics]
    if not m or window != [3, 3] or channels % WINOGRAD_CHANNELS or filters % WINOGRAD_CHANNELS:
        return 0
    if channels * filters > (WINOGRAD_GRADIENT if gradient else WINOGRAD_MATRIX):
        return 0
    tiles = -(-outputs[0] // m) * -(-outputs[1] // m)
    return m if tiles * (m + 2) ** 2 <= WINOGRAD_SHARE * 9 * outputs[0] * outputs[1] else 0


def panels_possible(k: int | Batch, n: int | Batch) -> bool:
    """Whether memory for the right operand in panels is planned. An open batch may be large."""
    lengths = [PANELS_PAY[0][0] if isinstance(length, Batch) else length for length in (k, n)]
    return lengths[0] * lengths[1] >= min(elements for _, elements in PANELS_PAY)


def panels_pay(m: int, k: int, n: int) -> bool:
    """Whether (m, k) by (k, n) is quicker with the right operand copied into panels as wide as a tile."""
    return any(m >= rows and k * n >= elements for rows, elements in PANELS_PAY)


def wide_pays(m: int, k: int, n: int) -> bool:
    """Whether a product (m, k) by (k, n) is quicker with wide tiles though the right operand lies in no panels."""
    return all(length >= least for length, least in zip((m, k, n), WIDE_PAYS, strict=True))


def turned_in_place(rows: int, columns: int, depth: int, width: int) -> bool:
    """Whether a right operand that is given transposed is turned panel by panel where it is used, not beforehand.

    A chunk then takes all rows, so that no panel is turned twice, and panels never leave the cache of the core that
    turned them: 1.1 to 1.7 times the speed on two threads from 128 x 512 x 784 to 32 x 64 x 2304. The left operand
    passes by once a panel and has to stay in the cache, and there must be panels enough to share.
    """
    return rows * depth <= BLOCK_ELEMENTS and columns >= MINIMUM_CHUNKS * width


def tile(rows: int, columns: int, depth: int, lanes: int, most_rows: dict[int, int], *, gradient: bool = False) -> Tile:
    """The tile for a contraction of `rows` by `columns`; `most_rows` says how tall a tile of so many vectors may be.

    `gradient` says that rows of the left operand lie side by side, as where a kernel's gradient is wanted.
    """
    vectors = -(-columns // lanes)
    highest = most_rows.get(4, 0)
    wide = vectors >= 4 and (rows <= highest or (highest >= 4 and (
        panels_pay(rows, depth, columns) or (gradient and wide_pays(rows, depth, columns)))))
    width = 4 if wide else 3 if vectors == 3 else min(2, vectors)
    highest = most_rows[width]
    tall = -(-rows // -(-rows // highest)) if rows else 1
    whole = columns // (width * lanes)
    rest = columns - whole * width * lanes
    return Tile(tall, width, -(-rest // lanes), rest % lanes != 0)


def blocks(outer: int, rows: int, columns: int, depth: int, chosen: Tile, lanes: int, *,
           turned: bool = False) -> Blocks:
    """All row tiles a chunk and all columns, unless that makes too few chunks or too large ones."""
    row_tiles = -(-rows // chosen.rows)
    column_tiles = columns // (chosen.vectors * lanes) + (1 if chosen.tail else 0)
    if 2 * outer * rows * columns * depth <= SMALL_FLOPS:
        return Blocks(row_tiles, column_tiles)
    if turned:
        return Blocks(row_tiles, max(1, column_tiles // (4 * MINIMUM_CHUNKS)))
    most = max(1, BLOCK_ELEMENTS // max(1, depth * chosen.rows))
    if outer >= MINIMUM_CHUNKS:
        return Blocks(min(row_tiles, most), column_tiles)
    if outer * row_tiles >= MINIMUM_CHUNKS:
        return Blocks(max(1, min(most, outer * row_tiles // (4 * MINIMUM_CHUNKS))), column_tiles)
    wanted = -(-MINIMUM_CHUNKS // (outer * row_tiles))
    return Blocks(1, max(1, column_tiles // wanted))
