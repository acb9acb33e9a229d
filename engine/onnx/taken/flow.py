"""What goes from node to node: values that a layer computes, and constants."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Order = tuple[int, ...]

BATCH = -(1 << 62)
"""Stands for the batch's size among the numbers of a computed shape."""


@dataclass(frozen=True, eq=False)
class Constant:
    """Numbers that the file holds, or that follow from such alone. `name` is the initializer's."""

    array: Array
    name: str = ""


@dataclass(frozen=True, eq=False)
class Flow:
    """A value of a layer or input. Shapes and dimensions are without the batch.

    `shape` is ONNX's. Its dimension i is dimension `order[i]` here: an image's (channels, height, width) has the order
    (2, 0, 1). A vector that was flattened out of an image has `image`: its shape here and the order in which ONNX
    flattened it. `note` says what a later node may want to know: an operator and the value that it was applied to.
    """

    layer: str
    shape: Shape
    order: Order
    image: tuple[Shape, Order] | None = None
    nonnegative: bool = False
    note: tuple[str, Flow] | None = None
    biasless: str = ""
    """The layer that computes it, if that has no bias and nothing else reads it."""
    integer: bool = field(default=False)
    batch: int = 0
    """Which of ONNX's dimensions the batch is: behind the steps for recurrent operators. Here it is always in front."""

    @property
    def rank(self) -> int:
        """Dimensions without the batch."""
        return len(self.shape)

    @property
    def here(self) -> Shape:
        """The shape in our order."""
        sizes = [0] * self.rank
        for dim, place in enumerate(self.order):
            sizes[place] = self.shape[dim]
        return tuple(sizes)

    @property
    def rows(self) -> Array | None:
        """For a flattened image: where ONNX's features stand here. None: in the same places."""
        if self.image is None:
            return None
        shape, order = self.image
        return np.arange(math.prod(shape)).reshape(shape).transpose(order).reshape(-1)

    @property
    def whole(self) -> Shape:
        """ONNX's shape with the batch."""
        return (*self.shape[:self.batch], BATCH, *self.shape[self.batch:])

    def dim(self, axis: int) -> int | None:
        """Which of `shape` one of ONNX's axes is, None for the batch."""
        axis %= self.rank + 1
        return None if axis == self.batch else axis - (axis > self.batch)

    def turned(self, shape: Shape, order: Order, batch: int = 0) -> Flow:
        """The same value under another name for its dimensions."""
        return replace(self, shape=shape, order=order, note=None, biasless="", batch=batch)


def straight(rank: int) -> Order:
    """ONNX's own order."""
    return tuple(range(rank))


def channels_last(rank: int) -> Order:
    """The order in which ONNX's first dimension, the channels, is our last."""
    return (rank - 1, *range(rank - 1))
