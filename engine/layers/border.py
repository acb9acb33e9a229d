"""Borders of zeros around sequences, images and volumes, and borders cut off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net, OptionMismatch, channels_last
from engine.layers.window import Padding, expect_spatial
from engine.options import Mismatch, Reader, option, spatial
from engine.registry import register

_pair = spatial(2, minimum=0)
_WORDS = {2: "two", 3: "three"}
_NAMES = {2: "((top, bottom), (left, right))", 3: "three pairs"}


def borders(rank: int) -> Reader:
    """One number for every side, one for each dimension, or (before, after) for each.

    A sequence's list of two is its one dimension's (before, after), as in Keras.
    """
    expected = f"an integer, {_WORDS[rank]} integers, or {_NAMES[rank]}" if rank > 1 else "an integer or (front, back)"

    def read(value: Any, pointer: str) -> Padding:
        if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            if rank == 1 and len(value) == 2 and not any(isinstance(side, Sequence) for side in value):
                return (_pair(value, pointer),)
            if len(value) != rank:
                raise Mismatch(pointer, expected, value)
            return tuple(_pair(side, f"{pointer}/{place}") for place, side in enumerate(value))
        return (_pair(value, pointer),) * rank

    return Reader(read, {"type": "padding"})


@dataclass(frozen=True, kw_only=True)
class ZeroPadding(Layer):
    """Zeros before and after every spatial dimension."""

    rank: ClassVar[int]
    padding: Padding

    size_option = "padding"

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        expect_spatial(x, self.rank)
        return net.b.op("pad", x, padding=((0, 0), *self.padding, (0, 0)))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class ZeroPadding1D(ZeroPadding):
    """Adds steps of zeros in front of a sequence and behind it.

    Input shape: (batch, steps, channels). Output shape: (batch, front + steps + back, channels).
    """

    rank = 1
    padding: Padding = option(borders(1), default=((1, 1),), doc="one number, or (front, back)")
    data_format: str = option(channels_last, default="channels_last")

    samples = (LayerSample({}, ((3, 2),), (5, 2)), LayerSample({"padding": [1, 0]}, ((3, 2),), (4, 2)),
               LayerSample({"padding": 2}, ((4, 1),), (8, 1)))

    def keras_options(self) -> dict[str, Any]:
        return {"padding": list(self.padding[0])}


@register("layer")
@dataclass(frozen=True, kw_only=True)
class ZeroPadding2D(ZeroPadding):
    """Adds rows and columns of zeros around an image.

    Input shape: (batch, height, width, channels).
    Output shape: (batch, top + height + bottom, left + width + right, channels).
    """

    rank = 2
    padding: Padding = option(borders(2), default=((1, 1), (1, 1)),
                              doc="rows and columns: one number, (height, width), or ((top, bottom), (left, right))")
    data_format: str = option(channels_last, default="channels_last")

    samples = (LayerSample({}, ((3, 4, 2),), (5, 6, 2)), LayerSample({"padding": [1, 0]}, ((3, 4, 2),), (5, 4, 2)),
               LayerSample({"padding": [[1, 0], [2, 3]]}, ((3, 4, 1),), (4, 9, 1)))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class ZeroPadding3D(ZeroPadding):
    """Adds zeros around a volume.

    Input shape: (batch, depth, height, width, channels).
    Output shape: (batch, new depth, new height, new width, channels).
    """

    rank = 3
    padding: Padding = option(borders(3), default=((1, 1), (1, 1), (1, 1)),
                              doc="one number, one for each dimension, or (before, after) for each")
    data_format: str = option(channels_last, default="channels_last")

    samples = (LayerSample({}, ((3, 4, 2, 2),), (5, 6, 4, 2)),
               LayerSample({"padding": [[1, 0], [2, 3], [0, 0]]}, ((3, 4, 1, 2),), (4, 9, 1, 2)))


@dataclass(frozen=True, kw_only=True)
class Cropping(Layer):
    """Positions cut off before and after every spatial dimension."""

    rank: ClassVar[int]
    cropping: Padding

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        sizes, _ = expect_spatial(x, self.rank)
        for axis, (size, (before, after)) in enumerate(zip(sizes, self.cropping, strict=True), 1):
            if before + after >= size:
                raise OptionMismatch("cropping", f"less than the {size} positions of dimension {axis}", before + after)
            if before or after:
                x = net.b.op("slice", x, axis=axis, start=before, stop=size - after)
        return x


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Cropping1D(Cropping):
    """Cuts off the first and last steps of a sequence.

    Input shape: (batch, steps, channels). Output shape: (batch, steps - front - back, channels).
    """

    rank = 1
    cropping: Padding = option(borders(1), default=((1, 1),), doc="one number, or (front, back)")

    samples = (LayerSample({}, ((5, 2),), (3, 2)), LayerSample({"cropping": [0, 2]}, ((5, 2),), (3, 2)))

    def keras_options(self) -> dict[str, Any]:
        return {"cropping": list(self.cropping[0])}


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Cropping2D(Cropping):
    """Cuts off rows and columns around an image.

    Input shape: (batch, height, width, channels). Output shape: (batch, new height, new width, channels).
    """

    rank = 2
    cropping: Padding = option(borders(2), default=((0, 0), (0, 0)),
                               doc="rows and columns: one number, (height, width), or ((top, bottom), (left, right))")
    data_format: str = option(channels_last, default="channels_last")

    samples = (LayerSample({}, ((3, 4, 2),), (3, 4, 2)), LayerSample({"cropping": [1, 0]}, ((3, 4, 2),), (1, 4, 2)),
               LayerSample({"cropping": [[1, 0], [2, 1]]}, ((3, 5, 1),), (2, 2, 1)))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Cropping3D(Cropping):
    """Cuts off the outer places of a volume.

    Input shape: (batch, depth, height, width, channels).
    Output shape: (batch, new depth, new height, new width, channels).
    """

    rank = 3
    cropping: Padding = option(borders(3), default=((1, 1), (1, 1), (1, 1)),
                               doc="one number, one for each dimension, or (before, after) for each")
    data_format: str = option(channels_last, default="channels_last")

    samples = (LayerSample({}, ((3, 4, 5, 2),), (1, 2, 3, 2)),
               LayerSample({"cropping": [[1, 0], [2, 1], [0, 0]]}, ((3, 5, 1, 2),), (2, 2, 1, 2)))
