"""What an augmentation is: random changes of pictures, in training only.

An entry declares its options, the shape it gives, and a reference in numpy. Its random numbers are those of the key
(seed, AUGMENTATION + place in the list, epoch, example) of `engine.random`, so an example is changed the same way in an
epoch whatever batch it is in, after a resume too. Examples are numbered by their row in the dataset. A compute kernel
takes `parameters` (a few numbers an example) and must give the bits of `apply`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from engine import random
from engine.data.npy import Array

Words = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float32]
WORDS = 4
"""Random words an example has for each augmentation."""


@dataclass(frozen=True)
class Sample:
    """Options and the shape of pictures (height, width, channels) for the conformance tests."""

    options: Mapping[str, Any]
    shape: tuple[int, int, int]
    output_shape: tuple[int, int, int]


class Augmentation(ABC):
    """A registered augmentation: a frozen dataclass of options."""

    type_name: ClassVar[str]
    moves: ClassVar[bool] = False
    """Whether pixels are only moved, each as it is."""

    def fault(self, shape: tuple[int, ...]) -> str | None:
        """What it expects instead of pictures of this shape, or None."""
        return None if len(shape) == 3 else "pictures (height, width, channels)"

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The pictures' shape afterwards, in training and in evaluation."""
        return shape

    @abstractmethod
    def parameters(self, words: Words, shape: tuple[int, ...]) -> Array:
        """(examples, n) numbers, int32 or float32, from (examples, 4) random words and the pictures' shape."""

    @abstractmethod
    def apply(self, images: Floats, parameters: Array) -> Floats:
        """Pictures (examples, height, width, channels), each changed by its row of `parameters`."""

    def inference(self, images: Floats) -> Floats:
        """What evaluation and prediction do instead: nothing, unless the shape changes."""
        return images

    def reference(self, images: Floats, *, seed: int, epoch: int, examples: npt.NDArray[np.int64],
                  place: int = 0) -> Floats:
        """The whole of it: pictures of `examples` in `epoch` (from 1), for the augmentation at `place` in the list."""
        words = random.bits((seed, random.AUGMENTATION + place, epoch, examples), WORDS)
        return self.apply(images, self.parameters(words, images.shape[1:]))

    @classmethod
    @abstractmethod
    def samples(cls) -> tuple[Sample, ...]:
        """Inputs for the conformance tests."""


def below(words: Words, limit: int) -> npt.NDArray[np.int32]:
    """Whole numbers 0 … limit - 1: the upper half of word * limit, which is fair to one part in 2^32 / limit."""
    return ((words.astype(np.uint64) * np.uint64(limit)) >> np.uint64(32)).astype(np.int32)


def unit(words: Words) -> Floats:
    """float32 in [0, 1), as `engine.random.uniform` makes them."""
    return (words >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
