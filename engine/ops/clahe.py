"""Histograms of a picture's tiles made even, within a limit (Zuiderveld, "Contrast limited adaptive histogram
equalization", Graphics Gems IV, 1994)."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.graph.ir import Node
from engine.lowering.request import KernelRequest
from engine.ops.base import Op, Sample, ShapeMismatch, expect_dtype, expect_rank, op
from engine.types import Type, size

BINS = 256
TOP = 255.0


def tile(extent: int, count: int) -> int:
    """Pixels of each of `count` tiles; the last ones go on in the picture's mirror image."""
    return -(-extent // count)


@op("clahe")
class Clahe(Op):
    """(batch, height, width, channels) from 0 to 255 -> the same, even over each of `grid` tiles. No gradient.

    A tile's histogram, cut at `limit` times its mean (0: not at all) and what was cut spread evenly, is added up to the
    new tones; a pixel takes those of the four tiles around it, weighted by their middles' distances.
    """

    samples = (Sample(((2, 5, 6, 2),), {"grid": (2, 3), "limit": 4.0}, integers={0: 256}, differentiable=()),
               Sample(((2, 4, 7, 1),), {"grid": (3, 2), "limit": 90.0}, integers={0: 256}, differentiable=()),
               Sample(((1, 8, 8, 3),), {"grid": (2, 2), "limit": 0.0}, integers={0: 4}, differentiable=()))

    def infer(self, *types: Type, grid: tuple[int, int], limit: float) -> tuple[Type, ...]:
        (x,) = types
        expect_rank(x, 4, "(batch, height, width, channels)")
        expect_dtype(x, "float32", "float64")
        for extent, count in zip(x.shape[1:3], grid, strict=True):
            if count * tile(extent, count) > 2 * extent:  # type: ignore[arg-type, operator]
                raise ShapeMismatch(f"at most {extent} pixels beyond the picture for {count} tiles",
                                    count * tile(extent, count) - extent)  # type: ignore[arg-type, operator]
        return (x,)

    def reference(self, *arrays: np.ndarray, grid: tuple[int, int], limit: float) -> tuple[np.ndarray, ...]:
        (x,) = arrays
        places = np.clip(x, 0, TOP).astype(np.int64)
        (down, high), (across, wide) = (_around(extent, count) for extent, count in
                                        zip(x.shape[1:3], grid, strict=True))
        rows, columns = (_mirrored(extent, count) for extent, count in zip(x.shape[1:3], grid, strict=True))
        tiles = places[:, rows][:, :, columns].reshape(len(x), grid[0], high, grid[1], wide, x.shape[3])
        tables = np.apply_along_axis(_table, 4, tiles.transpose(0, 1, 3, 5, 2, 4).reshape(
            len(x), *grid, x.shape[3], high * wide), limit, x.dtype)
        batch, channels = np.arange(len(x))[:, None, None, None], np.arange(x.shape[3])
        total = np.zeros_like(x)
        for row, part in zip(down[:2], (1 - down[2], down[2]), strict=True):
            for column, share in zip(across[:2], (1 - across[2], across[2]), strict=True):
                found = tables[batch, row.astype(int)[:, None, None], column.astype(int)[:, None], channels, places]
                total += (found * part[:, None, None] * share[:, None]).astype(x.dtype)
        return (total,)

    def lower(self, node: Node) -> list[KernelRequest]:
        grid = node.attrs["grid"]
        shape: Any = node.inputs[0].shape
        high, wide = (tile(extent, count) for extent, count in zip(shape[1:3], grid, strict=True))
        counts = node.attrs["limit"] * high * wide / BINS
        return [KernelRequest("clahe", "clahe", node.inputs, node.outputs, {"grid": grid, "tile": (high, wide),
                                                                            "limit": counts, "bins": BINS})]

    def flops(self, node: Node) -> int:
        return 12 * size(node.outputs[0].shape, 1)


def _mirrored(extent: int, count: int) -> np.ndarray:
    places = np.arange(count * tile(extent, count))
    return np.where(places < extent, places, 2 * extent - 1 - places)


def _around(extent: int, count: int) -> tuple[tuple[Any, Any, Any], int]:
    """For each pixel the tile before it, the one behind, and the part of the way between their middles."""
    wide = tile(extent, count)
    at = (np.arange(extent) - wide / 2) / wide
    before = np.floor(at)
    return (before.clip(0, count - 1), (before + 1).clip(0, count - 1), at - before), wide


def _table(places: np.ndarray, limit: float, dtype: Any) -> np.ndarray:
    """The new tone of each bin."""
    counts = np.bincount(places, minlength=BINS).astype(dtype)
    if limit > 0:
        cut = np.minimum(counts, dtype.type(limit * len(places) / BINS))
        counts = cut + (counts - cut).sum() / BINS
    total = np.cumsum(counts)
    rest = len(places) - total[0]
    tones: np.ndarray = np.clip((total - total[0]) * TOP / (rest if rest else 1), 0, TOP)
    return tones
