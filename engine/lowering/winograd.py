"""Winograd's minimal filtering of 3 x 3 convolutions: the transforms, and how much memory their blocks take.

F(m x m, 3 x 3) computes a square of m x m outputs from a tile of (m + 2) x (m + 2) inputs with (m + 2)^2 products a
pair of channels instead of 9 m^2 (S. Winograd, Arithmetic Complexity of Computations, 1980; A. Lavin and S. Gray, Fast
Algorithms for Convolutional Neural Networks, 2015):

    outputs = A^T [(G kernel G^T) * (B^T inputs B)] A

The transforms evaluate polynomials at m + 1 points and infinity. The points decide the rounding errors: 0, +-5/8, +-3/2
are exact in binary and leave F(4 x 4) a fifth of the error of the usual 0, +-1, +-2 (measured).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import prod

Matrix = tuple[tuple[Fraction, ...], ...]

POINTS = {2: ("0", "1", "-1"), 4: ("0", "5/8", "-5/8", "3/2", "-3/2")}
"""Tile size m -> the points besides infinity."""
KERNEL = 3
SLOTS = 16
"""Pieces that a convolution is cut into, each with memory of its own for transformed tiles."""


@dataclass(frozen=True)
class Block:
    """Tiles that are transformed together: so many that theirs is about so many floats, within bounds."""

    floats: int
    least: int
    most: int


CONVOLUTION = Block(2**16, 8, 32)
"""Transformed inputs and products in a quarter of a second-level cache of 1 MB, where the kernel passes by."""
GRADIENT = Block(2**17, 16, 64)
"""Larger, since every block reads and writes all sums."""


@dataclass(frozen=True)
class Transforms:
    """The matrices of F(m x m, 3 x 3)."""

    inputs: Matrix
    """B^T: (m + 2, m + 2)."""
    kernel: Matrix
    """G: (m + 2, 3)."""
    outputs: Matrix
    """A^T: (m, m + 2)."""


@cache
def transforms(m: int) -> Transforms:
    """Toom and Cook's construction: B^T interpolates, G and A^T evaluate polynomials at the points."""
    points = [Fraction(point) for point in POINTS[m]]
    size = m + KERNEL - 1
    zero, one = Fraction(0), Fraction(1)
    inputs, kernel = [], []
    for point in points:
        others = [other for other in points if other != point]
        inputs.append((*_polynomial(others), zero))
        scale = prod((point - other for other in others), start=one)
        kernel.append(tuple(point**power / scale for power in range(KERNEL)))
    inputs.append(_polynomial(points))
    kernel.append((zero,) * (KERNEL - 1) + (one,))
    outputs = tuple((*(point**power for point in points), one if power == m - 1 else zero) for power in range(m))
    assert len(inputs) == size
    return Transforms(tuple(inputs), tuple(kernel), outputs)


def _polynomial(roots: list[Fraction]) -> tuple[Fraction, ...]:
    """Coefficients of the monic polynomial with these roots, the constant first."""
    result = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *result], [*(-root * value for value in result), Fraction(0)]
        result = [a + b for a, b in zip(shifted, scaled, strict=True)]
    return tuple(result)


def transpose(matrix: Matrix) -> Matrix:
    """Rows as columns."""
    return tuple(zip(*matrix, strict=True))


def most_tiles(block: Block, m: int, channels: int, filters: int) -> int:
    """Tiles of a block, at most: as many as stay in the cache."""
    fitting = block.floats // ((m + 2) ** 2 * (channels + filters))
    return min(block.most, max(block.least, fitting))


def slot_floats(block: Block, m: int, channels: int, filters: int) -> int:
    """Memory of one slot: a block's transformed inputs and products, and a patch for windows across the border."""
    square = (m + 2) ** 2
    return square * (most_tiles(block, m, channels, filters) * (channels + filters) + max(channels, filters))
