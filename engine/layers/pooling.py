"""Pooling over windows of sequences, images and volumes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

from engine.graph.ir import GraphBuilder, Value
from engine.layers.base import Layer, LayerSample, Net, channels_last
from engine.layers.window import Padding, Pair, Sizes, expect_spatial, flat, padding_mode, window_padding
from engine.ops.base import ShapeMismatch
from engine.options import option, optional, spatial
from engine.registry import register
from engine.types import times
from engine.windows import output_size

LARGEST = 256
"""Pixels of a window that the op can number in a byte."""


def pool(b: GraphBuilder, op: str, x: Value, *, window: Sizes, strides: Sizes, padding: Padding) -> Value:
    """Pool x (batch, *sizes, channels) by an op over images, at most two dimensions at a time, from the last.

    The largest value of a box is that of its lines' largest; and so with means, since padding does not count and all
    lines of a box have the same number of real pixels.
    """
    last = len(window)
    while last:
        first = max(0, last - 2)
        if math.prod(window[first:last]) > LARGEST:
            first = last - 1
        here = slice(first, last)
        x = _over(b, op, x, first + 1, window[here], strides[here], padding[here])
        last = first
    return x


def largest(b: GraphBuilder, x: Value, axis: int, windows: Sequence[range]) -> Value:
    """The largest value of each window along one dimension. Shorter windows repeat their first position."""
    longest = max(map(len, windows))
    places = [place for window in windows for place in (*(window[0],) * (longest - len(window)), *window)]
    x = b.op("resample", x, axis=axis, taps=tuple(((place, 1.0),) for place in places))
    lead, rest = x.shape[:axis], x.shape[axis + 1:]
    return b.op("reduce_max", b.op("reshape", x, shape=(*lead, len(windows), longest, *rest)), axes=(axis + 1,))


def _long(b: GraphBuilder, x: Value, axis: int, window: int, stride: int, padding: Pair) -> Value:
    """Windows too long for the op's numbers."""
    size, (before, after) = x.shape[axis], padding
    starts = [place * stride - before for place in range(output_size(size, window, stride, 1, (before, after)))]
    if not starts:
        raise ShapeMismatch(f"at least {window} positions of dimension {axis}", f"{size + before + after}")
    return largest(b, x, axis, [range(max(0, start), min(size, start + window)) for start in starts])


def _over(b: GraphBuilder, op: str, x: Value, first: int, window: Sizes, strides: Sizes, padding: Padding) -> Value:
    """Pool over the one or two dimensions from `first`; those before count as examples, those behind as channels."""
    if op == "max_pool2d" and math.prod(window) > LARGEST:
        return _long(b, x, first, window[0], strides[0], padding[0])
    end = first + len(window)
    lead, inside, rest = x.shape[:first], x.shape[first:end], x.shape[end:]
    seen = (reduce(times, lead), *flat(inside, 1), math.prod(rest))
    y = b.apply(op, x if x.shape == seen else b.op("reshape", x, shape=seen), pool=flat(window, 1),
                strides=flat(strides, 1), padding=flat(padding, (0, 0)))[0]
    shape = (*lead, *y.shape[3 - len(window):3], *rest)
    return y if y.shape == shape else b.op("reshape", y, shape=shape)


@dataclass(frozen=True, kw_only=True)
class Pooling(Layer):
    """Options of all poolings over windows. Without `strides`, windows lie side by side."""

    rank: ClassVar[int]
    function: ClassVar[str]
    pool_size: Sizes
    strides: Sizes | None
    padding: str = option(padding_mode, default="valid")
    data_format: str = option(channels_last, default="channels_last")

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        sizes, _ = expect_spatial(x, self.rank)
        strides = self.strides or self.pool_size
        return pool(net.b, self.function, x, window=self.pool_size, strides=strides,
                    padding=window_padding(self.padding, sizes, self.pool_size, strides))


@dataclass(frozen=True, kw_only=True)
class Pooling1D(Pooling):
    """Over steps."""

    rank = 1
    pool_size: Sizes = option(spatial(1), default=(2,))
    strides: Sizes | None = option(optional(spatial(1)), default=None)

    samples = (LayerSample({}, ((7, 3),), (3, 3)),
               LayerSample({"pool_size": 3, "strides": 2, "padding": "same"}, ((7, 2),), (4, 2)),
               LayerSample({"pool_size": [3], "strides": [1]}, ((5, 1),), (3, 1)),
               LayerSample({"pool_size": 300, "strides": 150, "padding": "same"}, ((500, 1),), (4, 1)))


@dataclass(frozen=True, kw_only=True)
class Pooling2D(Pooling):
    """Over height and width."""

    rank = 2
    pool_size: Sizes = option(spatial(2), default=(2, 2))
    strides: Sizes | None = option(optional(spatial(2)), default=None)

    samples = (
        LayerSample({}, ((6, 7, 3),), (3, 3, 3)),
        LayerSample({"pool_size": 3, "strides": 2, "padding": "same"}, ((6, 7, 2),), (3, 4, 2)),
        LayerSample({"pool_size": [1, 3], "strides": 1}, ((4, 5, 1),), (4, 3, 1)),
        LayerSample({"pool_size": 17, "strides": 5}, ((17, 23, 2),), (1, 2, 2)),
    )


@dataclass(frozen=True, kw_only=True)
class Pooling3D(Pooling):
    """Over depth, height and width."""

    rank = 3
    pool_size: Sizes = option(spatial(3), default=(2, 2, 2))
    strides: Sizes | None = option(optional(spatial(3)), default=None)

    samples = (LayerSample({}, ((4, 5, 6, 2),), (2, 2, 3, 2)),
               LayerSample({"pool_size": [2, 3, 1], "strides": [2, 1, 2], "padding": "same"}, ((5, 4, 3, 2),),
                           (3, 4, 2, 2)))


@register("layer", aliases=("MaxPool1D",))
@dataclass(frozen=True, kw_only=True)
class MaxPooling1D(Pooling1D):
    """The largest value of each window of steps.

    Input shape: (batch, steps, channels). Output shape: (batch, new steps, channels).
    """

    function = "max_pool2d"


@register("layer", aliases=("MaxPool2D",))
@dataclass(frozen=True, kw_only=True)
class MaxPooling2D(Pooling2D):
    """The largest value of each window.

    Input shape: (batch, height, width, channels). Output shape: (batch, new height, new width, channels).
    """

    function = "max_pool2d"


@register("layer", aliases=("MaxPool3D",))
@dataclass(frozen=True, kw_only=True)
class MaxPooling3D(Pooling3D):
    """The largest value of each box.

    Input shape: (batch, depth, height, width, channels).
    Output shape: (batch, new depth, new height, new width, channels).
    """

    function = "max_pool2d"


@register("layer", aliases=("AvgPool1D",))
@dataclass(frozen=True, kw_only=True)
class AveragePooling1D(Pooling1D):
    """The mean of each window of steps; steps of the padding do not count.

    Input shape: (batch, steps, channels). Output shape: (batch, new steps, channels).
    """

    function = "average_pool2d"


@register("layer", aliases=("AvgPool2D",))
@dataclass(frozen=True, kw_only=True)
class AveragePooling2D(Pooling2D):
    """The mean of each window; pixels of the padding do not count.

    Input shape: (batch, height, width, channels). Output shape: (batch, new height, new width, channels).
    """

    function = "average_pool2d"


@register("layer", aliases=("AvgPool3D",))
@dataclass(frozen=True, kw_only=True)
class AveragePooling3D(Pooling3D):
    """The mean of each box; places of the padding do not count.

    Input shape: (batch, depth, height, width, channels).
    Output shape: (batch, new depth, new height, new width, channels).
    """

    function = "average_pool2d"
