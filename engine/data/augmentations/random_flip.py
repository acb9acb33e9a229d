"""RandomFlip: mirror every second picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine import registry
from engine.data.augmentation import Augmentation, Floats, Sample, Words
from engine.data.npy import Array
from engine.options import choice, option


@registry.register("augmentation")
@dataclass(frozen=True, kw_only=True)
class RandomFlip(Augmentation):
    """Mirrors pictures, as Keras 3's layer of this name; each direction with probability one half, on its own."""

    moves: ClassVar[bool] = True

    mode: str = option(choice("horizontal", "vertical", "horizontal_and_vertical"), default="horizontal_and_vertical")

    def parameters(self, words: Words, shape: tuple[int, ...]) -> Array:
        """int32 (horizontal, vertical), 0 or 1: the top bits of words 0 and 1."""
        flips = (words[:, :2] >> np.uint32(31)).astype(np.int32)
        return flips * np.array([self.mode != "vertical", self.mode != "horizontal"], np.int32)

    def apply(self, images: Floats, parameters: Array) -> Floats:
        """Pixels are moved, not changed."""
        horizontal, vertical = (parameters[:, place, None, None, None] != 0 for place in (0, 1))
        images = np.where(horizontal, images[:, :, ::-1], images)
        return np.where(vertical, images[:, ::-1], images)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """Every mode."""
        return tuple(Sample({"mode": mode}, (4, 5, 3), (4, 5, 3))
                     for mode in ("horizontal", "vertical", "horizontal_and_vertical"))
