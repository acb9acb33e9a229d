"""RandomTranslation: shift each picture by a part of its size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine import registry
from engine.data.augmentation import Augmentation, Floats, Sample, Words, unit
from engine.data.npy import Array
from engine.options import Mismatch, Reader, choice, collect, number, option

_number = number(minimum=-1, maximum=1)


def _factor(value: Any, pointer: str) -> tuple[float, float]:
    if isinstance(value, (list, tuple)):
        if len(value) != 2:
            raise Mismatch(pointer, "a number or a list of two", value)
        lower, upper = collect(_number, value, pointer)
        if lower > upper:
            raise Mismatch(pointer, "the lower bound first", value)
        return lower, upper
    bound = number(minimum=0, maximum=1)(value, pointer)
    return -bound, bound


factor = Reader(_factor, {"anyOf": [dict(_number.schema), {"type": "array", "items": dict(_number.schema)}]})


@registry.register("augmentation")
@dataclass(frozen=True, kw_only=True)
class RandomTranslation(Augmentation):
    """Shifts pictures by a random part of their size, as Keras 3's layer of this name.

    A factor f means a shift within ±f of the height or width, down and right being positive. A pixel of the result is
    the source's at (row - shift), interpolated between two rows and two columns if `bilinear`. Outside the picture:
    `reflect` (d c b a | a b c d | d c b a), `wrap`, `nearest`, or `constant` (the fill value).
    """

    height_factor: tuple[float, float] = option(factor, doc="a number f for [-f, f], or [lower, upper]")
    width_factor: tuple[float, float] = option(factor, doc="a number f for [-f, f], or [lower, upper]")
    fill_mode: str = option(choice("reflect", "constant", "nearest", "wrap"), default="reflect")
    interpolation: str = option(choice("bilinear", "nearest"), default="bilinear")
    fill_value: float = option(number(), default=0.0, doc="outside the picture, for the fill mode constant")

    def parameters(self, words: Words, shape: tuple[int, ...]) -> Array:
        """float32 shifts (down, right) in pixels, all arithmetic in float32: (lower + u * (upper - lower)) * size."""
        shifts = np.empty((len(words), 2), np.float32)
        for axis, (lower, upper) in enumerate((self.height_factor, self.width_factor)):
            span = np.float32(upper) - np.float32(lower)
            shifts[:, axis] = (np.float32(lower) + unit(words[:, axis]) * span) * np.float32(shape[axis])
        return np.rint(shifts) if self.interpolation == "nearest" else shifts

    def apply(self, images: Floats, parameters: Array) -> Floats:
        """Rows first, then columns; each as `first * (1 - part) + second * part` in float32."""
        images = np.asarray(images, np.float32)
        moved = self._shift(images, parameters[:, 0])
        return np.swapaxes(self._shift(np.swapaxes(moved, 1, 2), parameters[:, 1]), 1, 2)

    def _shift(self, images: Floats, shifts: Floats) -> Floats:
        """Along axis 1."""
        size = images.shape[1]
        sources = np.arange(size, dtype=np.float32) - shifts[:, None]
        below = np.floor(sources)
        part = (sources - below)[:, :, None, None]
        first = self._take(images, below.astype(np.int64))
        second = self._take(images, below.astype(np.int64) + 1)
        return np.asarray(first * (np.float32(1) - part) + second * part, np.float32)

    def _take(self, images: Floats, rows: npt.NDArray[np.int64]) -> Floats:
        size = images.shape[1]
        if self.fill_mode == "wrap":
            inside = rows % size
        elif self.fill_mode == "reflect":
            inside = np.minimum(rows % (2 * size), 2 * size - 1 - rows % (2 * size))
        else:
            inside = rows.clip(0, size - 1)
        taken = np.asarray(images[np.arange(len(images))[:, None], inside])
        if self.fill_mode == "constant":
            return np.where((rows != inside)[:, :, None, None], np.float32(self.fill_value), taken)
        return taken

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """Every fill mode, both interpolations, bounds on one side."""
        return (Sample({"height_factor": 0.3, "width_factor": [0.0, 0.5]}, (6, 5, 3), (6, 5, 3)),
                Sample({"height_factor": 0.5, "width_factor": 0.5, "fill_mode": "constant", "fill_value": 7,
                        "interpolation": "nearest"}, (5, 5, 1), (5, 5, 1)),
                Sample({"height_factor": 1.0, "width_factor": 0.1, "fill_mode": "wrap"}, (4, 7, 3), (4, 7, 3)),
                Sample({"height_factor": 0.9, "width_factor": 0.9, "fill_mode": "nearest"}, (5, 6, 1), (5, 6, 1)))
