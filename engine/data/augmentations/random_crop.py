"""RandomCrop: a window of each picture, anywhere in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine import registry
from engine.data.augmentation import Augmentation, Floats, Sample, Words, below
from engine.data.npy import Array
from engine.options import integer, option


@registry.register("augmentation")
@dataclass(frozen=True, kw_only=True)
class RandomCrop(Augmentation):
    """A random window of each picture in training, the middle one otherwise.

    As Keras 3's layer of this name, but pictures smaller than the window are refused and never resized. The model's
    input has the window's shape.
    """

    moves: ClassVar[bool] = True

    height: int = option(integer(minimum=1, maximum=65_536))
    width: int = option(integer(minimum=1, maximum=65_536))

    def fault(self, shape: tuple[int, ...]) -> str | None:
        """Pictures at least as large as the window."""
        if len(shape) != 3 or shape[0] < self.height or shape[1] < self.width:
            return f"pictures (height, width, channels) of at least {self.height} x {self.width}"
        return None

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The window's."""
        return (self.height, self.width, *shape[2:])

    def parameters(self, words: Words, shape: tuple[int, ...]) -> Array:
        """int32 (top, left), from words 0 and 1."""
        return np.stack([below(words[:, 0], shape[0] - self.height + 1),
                         below(words[:, 1], shape[1] - self.width + 1)], axis=1)

    def apply(self, images: Floats, parameters: Array) -> Floats:
        """Pixels are moved, not changed."""
        rows = parameters[:, 0, None, None] + np.arange(self.height)[:, None]
        columns = parameters[:, 1, None, None] + np.arange(self.width)
        return images[np.arange(len(images))[:, None, None], rows, columns]

    def inference(self, images: Floats) -> Floats:
        """The window in the middle (the upper left one of two)."""
        top, left = (images.shape[1] - self.height) // 2, (images.shape[2] - self.width) // 2
        return images[:, top:top + self.height, left:left + self.width]

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """A smaller window, and one of the picture's size."""
        return (Sample({"height": 3, "width": 4}, (6, 5, 3), (3, 4, 3)),
                Sample({"height": 6, "width": 5}, (6, 5, 1), (6, 5, 1)))
