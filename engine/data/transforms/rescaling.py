"""Rescaling: x * scale + offset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import registry
from engine.data.npy import Array
from engine.data.transform import Chunks, Part, Sample, State, Transform
from engine.options import number, option


@registry.register("transform")
@dataclass(frozen=True, kw_only=True)
class Rescaling(Transform):
    """x * scale + offset, as Keras 3's layer of this name. Numbers and pictures; missing values stay missing."""

    scale: float = option(number(), doc="factor")
    offset: float = option(number(), default=0.0, doc="added after the multiplication")

    def accepts(self, part: Part) -> str | None:
        """Numbers and pictures."""
        return None if part.kind in ("numeric", "image") else "numbers or pictures"

    def resolve(self, part: Part) -> tuple[Part, ...]:
        """The same shape."""
        return (part.then(self, values=None),)

    def fit(self, part: Part, chunks: Chunks) -> dict[str, Any]:
        """Nothing is learnt."""
        return {"scale": self.scale, "offset": self.offset}

    @classmethod
    def apply(cls, values: Array, state: State) -> Array:
        """In float64."""
        return np.asarray(values * state["scale"] + state["offset"])

    @classmethod
    def affine(cls, state: State) -> tuple[Array, Array]:
        """One scale and one offset."""
        return np.array([state["scale"]], np.float64), np.array([state["offset"]], np.float64)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """Numbers, one of them missing, and a picture."""
        nan = float("nan")
        return (Sample({"scale": 2, "offset": 1}, Part(name="a", source="a", kind="numeric", shape=(), missing=1),
                       [], [0.0, 1.5, nan], [1.0, 4.0, nan]),
                Sample({"scale": 0.5}, Part(name="i", source="i", kind="image", shape=(1, 1, 3)),
                       [], [[[[0.0, 100.0, 255.0]]]], [[[[0.0, 50.0, 127.5]]]]))
