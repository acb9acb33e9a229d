"""Pictures read at places between their pixels: what turning, zooming and bending them comes down to."""

from __future__ import annotations

import numpy as np

from engine.graph.ir import Node
from engine.lowering.request import KernelRequest
from engine.ops.base import Op, Sample, ShapeMismatch, broadcast_shapes, expect_dtype, expect_rank, op
from engine.types import Type, size

FILLS = ("reflect", "constant", "nearest", "wrap")
INTERPOLATIONS = ("bilinear", "nearest")


def _samples() -> tuple[Sample, ...]:
    shapes = ((3, 5, 6, 2), (3, 4, 7, 1), (3, 1, 7, 1))
    wide = ((2, 3, 3, 19), (2, 3, 3, 1), (2, 3, 3, 1))
    return tuple(Sample(given, {"fill_mode": fill, "interpolation": how, "fill_value": 2.5}, differentiable=())
                 for fill in FILLS for how, given in zip(INTERPOLATIONS, (shapes, wide), strict=True))


@op("sample_pictures")
class SamplePictures(Op):
    """y[b, i, j, c] = x[b, rows[b, i, j], columns[b, i, j], c], between pixels by `interpolation`.

    `bilinear` weighs the four pixels around a place by their distances, `nearest` takes the closest one. A place
    outside is first moved inside by `fill_mode` (as TensorFlow's ImageProjectiveTransformV3: reflect is d c b a | a b
    c d | d c b a, wrap a b c d | a b c d), but for `constant`: there pixels outside are `fill_value`. No gradient.
    Inputs: (batch, height, width, channels) and twice (batch, new height, new width, 1), broadcast to each other.
    """

    samples = _samples()

    def infer(self, *types: Type, fill_mode: str, interpolation: str, fill_value: float) -> tuple[Type, ...]:
        x, rows, columns = types
        expect_rank(x, 4, "(batch, height, width, channels)")
        for type in types:
            expect_dtype(type, "float32", "float64")
        for place in (rows, columns):
            if place.rank != 4 or (place.shape[0], place.shape[3]) != (x.shape[0], 1):
                raise ShapeMismatch("(batch, height, width, 1)", place.shape)
        lines = broadcast_shapes(rows.shape, columns.shape)
        return (Type((*lines[:3], x.shape[3]), x.dtype),)

    def reference(self, *arrays: np.ndarray, fill_mode: str, interpolation: str,
                  fill_value: float) -> tuple[np.ndarray, ...]:
        x, *places = arrays
        places = list(np.broadcast_arrays(*places))
        found = [_inside(place[..., 0], extent, fill_mode) for place, extent in zip(places, x.shape[1:3], strict=True)]
        if interpolation == "nearest":
            rows, columns = (np.where(place < 0, -np.floor(0.5 - place), np.floor(place + 0.5)) for place in found)
            return (_pixels(x, rows, columns, fill_value),)
        (top, down), (left, across) = ((np.floor(place), place - np.floor(place)) for place in found)
        upper, lower = ((1 - across[..., None]) * _pixels(x, row, left, fill_value)
                        + across[..., None] * _pixels(x, row, left + 1, fill_value) for row in (top, top + 1))
        return ((1 - down[..., None]) * upper + down[..., None] * lower,)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("sample_pictures", "sample", node.inputs, node.outputs, node.attrs)]

    def flops(self, node: Node) -> int:
        return 8 * size(node.outputs[0].shape, 1)


def _inside(place: np.ndarray, extent: int, fill_mode: str) -> np.ndarray:
    """Where a place outside is moved; far outside stays outside where it is to be filled."""
    with np.errstate(invalid="ignore"):
        if fill_mode == "reflect":
            turn = place.dtype.type(2 * extent)
            place = np.where(place < 0, -1 - place, place)
            place = place - turn * np.floor(place / turn)
            place = np.where(place >= extent, turn - 1 - place, place)
        elif fill_mode == "wrap":
            turn, gap = place.dtype.type(extent), place.dtype.type(max(1, extent - 1))
            below, above = place + turn * (np.trunc(-place / gap) + 1), place - turn * np.trunc(place / gap)
            place = np.where(place < 0, below, np.where(place > extent - 1, above, place))
        low, high = (-2, extent + 1) if fill_mode == "constant" else (0, extent - 1)
        place = np.where(place > low, place, np.asarray(low, place.dtype))
        return np.where(place < high, place, np.asarray(high, place.dtype))


def _pixels(x: np.ndarray, rows: np.ndarray, columns: np.ndarray, fill_value: float) -> np.ndarray:
    """x at whole rows and columns."""
    inside = (rows >= 0) & (rows < x.shape[1]) & (columns >= 0) & (columns < x.shape[2])
    batch = np.arange(len(x))[:, None, None]
    at = [np.where(inside, place, 0).astype(np.int64) for place in (rows, columns)]
    return np.where(inside[..., None], x[batch, at[0], at[1]], x.dtype.type(fill_value))
