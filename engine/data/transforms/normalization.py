"""Normalization: mean 0 and variance 1 on the training split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import registry
from engine.data.npy import Array
from engine.data.transform import Chunks, Part, Sample, State, Transform
from engine.errors import DataError, pointer_to, show
from engine.options import Mismatch, either, number, option, optional, sequence

SMALL = 1e-7
"""Keras's epsilon. A column whose deviation is below it (times its mean, if that is above 1) is constant: Keras divides
it by epsilon, so that any later difference becomes huge; here it is only centred."""


@registry.register("transform")
@dataclass(frozen=True, kw_only=True)
class Normalization(Transform):
    """(x - mean) / deviation, as Keras 3's layer of this name with axis=-1; moments of the training split or as given.

    A number of a table column has moments of its own; a picture's channels have theirs, over all pixels.
    """

    mean: float | tuple[float, ...] | None = option(optional(either(number(), sequence(number(), 1, 65_536))),
                                                    default=None, doc="instead of the training split's")
    variance: float | tuple[float, ...] | None = option(optional(either(number(minimum=0),
                                                                        sequence(number(minimum=0), 1, 65_536))),
                                                        default=None, doc="instead of the training split's")

    def check(self, pointer: str) -> None:
        """Both moments or none."""
        if (self.mean is None) != (self.variance is None):
            name = "mean" if self.mean is None else "variance"
            raise Mismatch(pointer_to(pointer, name), "mean and variance together", None)

    def accepts(self, part: Part) -> str | None:
        """Numbers and pictures, with as many channels as moments are given."""
        if part.kind not in ("numeric", "image"):
            return "numbers or pictures"
        for given in (self.mean, self.variance):
            if isinstance(given, tuple) and len(given) not in (1, _channels(part)):
                return f"a column of {len(given)} channels, as many as there are moments"
        return None

    def resolve(self, part: Part) -> tuple[Part, ...]:
        """The same shape."""
        return (part.then(self, values=None),)

    def fit(self, part: Part, chunks: Chunks) -> dict[str, Any]:
        """Moments over all axes but the channels, missing values left out."""
        if self.mean is not None and self.variance is not None:
            mean, variance = (np.atleast_1d(np.asarray(given, np.float64)) for given in (self.mean, self.variance))
        else:
            mean, variance = _moments(part, chunks)
        deviation = np.sqrt(variance)
        deviation = np.where(deviation <= SMALL * np.maximum(1.0, np.abs(mean)), 1.0, deviation)
        return {"mean": mean.tolist(), "deviation": deviation.tolist()}

    @classmethod
    def apply(cls, values: Array, state: State) -> Array:
        """In float64."""
        mean, deviation = np.array(state["mean"], np.float64), np.array(state["deviation"], np.float64)
        if values.ndim == 1:
            mean, deviation = mean[0], deviation[0]
        return np.asarray((values - mean) / deviation)

    @classmethod
    def affine(cls, state: State) -> tuple[Array, Array]:
        """A scale and an offset for each channel."""
        mean, deviation = np.array(state["mean"], np.float64), np.array(state["deviation"], np.float64)
        return 1.0 / deviation, -mean / deviation

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """Learnt with a missing value, given, constant, and by channel."""
        nan = float("nan")
        column = Part(name="a", source="a", kind="numeric", shape=(), missing=1)
        picture = Part(name="i", source="i", kind="image", shape=(1, 2, 3))
        return (Sample({}, column, [1.0, 3.0, nan], [1.0, 5.0, nan], [-1.0, 3.0, nan]),
                Sample({"mean": 1, "variance": 4}, column, [], [1.0, 5.0], [0.0, 2.0]),
                Sample({}, column, [7.0, 7.0], [7.0, 9.0], [0.0, 2.0]),
                Sample({}, picture, [[[[0.0, 0.0, 5.0], [2.0, 4.0, 5.0]]]], [[[[0.0, 4.0, 5.0], [1.0, 2.0, 6.0]]]],
                       [[[[-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]]))


def _channels(part: Part) -> int:
    """Pictures without a channel axis are of one channel."""
    if not part.shape or (part.kind == "image" and len(part.shape) == 2):
        return 1
    return part.shape[-1]


def _moments(part: Part, chunks: Chunks) -> tuple[Array, Array]:
    """Mean and variance of each channel; chunks are merged as Chan, Golub and LeVeque (1979) do."""
    channels = _channels(part)
    count, mean, squares = np.zeros(channels), np.zeros(channels), np.zeros(channels)
    for chunk in chunks():
        values = np.asarray(chunk, np.float64).reshape(-1, channels)
        present = ~np.isnan(values)
        own = present.sum(axis=0)
        own_mean = np.where(present, values, 0).sum(axis=0) / np.maximum(own, 1)
        own_squares = np.square(np.where(present, values - own_mean, 0)).sum(axis=0)
        together = np.maximum(count + own, 1)
        delta = own_mean - mean
        squares = squares + own_squares + np.square(delta) * count * own / together
        mean = mean + delta * own / together
        count = count + own
    if not count.all():
        raise DataError("column_empty", "expected values in the training split, received none",
                        where=f"column {show(part.source)}")
    return mean, squares / count
