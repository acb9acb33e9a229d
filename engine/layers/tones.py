"""Tones of pictures: cut, turned over and stretched, with the formulas of Keras 3's layers of these names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.graph.ir import GraphBuilder, Value
from engine.layers.base import Layer, LayerSample, Net, OptionMismatch, channels_last
from engine.layers.pictures import Draws, Range, expect_pictures, factor, value_range
from engine.layers.random_color import BYTES, Within
from engine.ops.clahe import tile
from engine.options import Mismatch, Reader, collect, integer, number, option, spatial
from engine.registry import register

BITS = 8
DEEPEST = 4096
"""Most bins of a histogram."""


def spread_over(b: GraphBuilder, x: Value, before: Range, after: Range) -> Value:
    """Numbers of one range as those of another."""
    if before == after:
        return x
    slope = (after[1] - after[0]) / (before[1] - before[0])
    return b.op("scale", x, factor=slope, offset=after[0] - before[0] * slope)


def _range(value: Any, pointer: str) -> Range:
    found: Range = value_range(value, pointer)
    if found[0] == found[1]:
        raise Mismatch(pointer, "two different numbers", value)
    return found


real_range = Reader(_range, value_range.schema)
"""A range with something in it."""
_unit = number(minimum=0, maximum=1)


def _part(value: Any, pointer: str) -> Range:
    if isinstance(value, (list, tuple)):
        if len(value) != 2:
            raise Mismatch(pointer, "a number or a list of two", value)
        lower, upper = sorted(collect(_unit, value, pointer))
        return lower, upper
    return 0.0, _unit(value, pointer)


part = Reader(_part, factor(0).schema)
"""A number f for [0, f], or [lower, upper]."""
_bits = integer(minimum=1, maximum=BITS)


def _depths(value: Any, pointer: str) -> tuple[int, int]:
    if isinstance(value, (list, tuple)):
        if len(value) != 2:
            raise Mismatch(pointer, "a whole number or a list of two", value)
        lower, upper = sorted(collect(_bits, value, pointer))
        return lower, upper
    return 1, _bits(value, pointer)


depths = Reader(_depths, {"anyOf": [dict(_bits.schema), {"type": "array", "items": dict(_bits.schema), "minItems": 2,
                                                         "maxItems": 2}]})


def _samples(*options: dict[str, object]) -> tuple[LayerSample, ...]:
    return tuple(LayerSample(given, ((3, 4, 2),), (3, 4, 2)) for given in options)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Solarization(Within):
    """In training, adds a number to all tones of a picture and turns those over that are then at a threshold or above.

    Both are drawn for each picture from `lower` to 255 `upper` of their factors, in a range of 0 to 255.
    Input shape: (batch, height, width, channels). Output shape: the input's.
    """

    value_range: Range = option(real_range, default=BYTES)
    addition_factor: Range = option(part, default=(0.0, 0.0), doc="a number f for [0, f], or [lower, upper]")
    threshold_factor: Range = option(part, default=(0.0, 0.0), doc="a number f for [0, f], or [lower, upper]")

    draws = 2
    samples = _samples({}, {"addition_factor": 0.3, "threshold_factor": [0.2, 0.8], "value_range": [0, 1]})

    def change(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        added, threshold = (draws.uniform(x, lower, upper * BYTES[1])
                            for lower, upper in (self.addition_factor, self.threshold_factor))
        y = b.op("add", spread_over(b, x, self.value_range, BYTES), added)
        y = b.op("clip", y, low=BYTES[0], high=BYTES[1])
        y = b.op("where", b.op("greater", threshold, y), y, b.op("scale", y, factor=-1.0, offset=BYTES[1]))
        return spread_over(b, y, BYTES, self.value_range)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandomPosterization(Within):
    """In training, leaves each picture's tones `factor` bits of 8, as many for a number n as 1 to n - 1.

    Of [lower, upper] the upper one is not drawn, unless both are the same.
    Input shape: (batch, height, width, channels). Output shape: the input's.
    """

    value_range: Range = option(real_range, default=BYTES)
    factor: tuple[int, int] = option(depths, doc="bits: a whole number n for [1, n], or [lower, upper]")

    samples = _samples({"factor": 4}, {"factor": [3, 3], "value_range": [0, 1]})

    def change(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        lower, upper = self.factor
        drawn, step = draws.uniform(x, lower, upper), b.constant(2.0 ** (BITS - lower))
        for bits in range(lower + 1, upper):
            step = b.op("where", b.op("greater_equal", drawn, b.constant(float(bits))),
                        b.constant(2.0 ** (BITS - bits)), step)
        y = b.op("clip", spread_over(b, x, self.value_range, BYTES), low=BYTES[0], high=BYTES[1])
        y = b.op("multiply", b.op("floor", b.op("divide", y, step)), step)
        return spread_over(b, y, BYTES, self.value_range)


@dataclass(frozen=True, kw_only=True)
class Tones(Layer):
    """A change of tones that is never random."""

    value_range: Range = option(real_range, default=BYTES)
    data_format: str = option(channels_last, default="channels_last")

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        expect_pictures(x)
        return self.change(net.b, x)

    def change(self, b: GraphBuilder, x: Value) -> Value:
        """The pictures, changed."""
        raise NotImplementedError


@register("layer")
@dataclass(frozen=True, kw_only=True)
class AutoContrast(Tones):
    """Stretches each channel of each picture over the whole range, in training and outside of it.

    A channel of one tone stays as it is. Input shape: (batch, height, width, channels). Output shape: the input's.
    """

    samples = _samples({}, {"value_range": [-1, 1]})

    def change(self, b: GraphBuilder, x: Value) -> Value:
        y = spread_over(b, x, self.value_range, BYTES)
        high, low = (b.op("reduce_max", side, axes=(1, 2), keepdims=True) for side in (y, b.op("negative", y)))
        span = b.op("add", high, low)
        slope = b.op("divide", b.constant(BYTES[1]), b.op("where", span, span, b.constant(1.0)))
        y = b.op("add", b.op("multiply", y, slope), b.op("multiply", low, slope))
        y = spread_over(b, b.op("clip", y, low=BYTES[0], high=BYTES[1]), BYTES, self.value_range)
        return b.op("where", span, y, x)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Equalization(Tones):
    """In training, gives each channel's tones such steps that a histogram of `bins` is as even as can be.

    As in Keras 3.15 the histogram is that of all the batch's pictures together.
    Input shape: (batch, height, width, channels). Output shape: the input's.
    """

    bins: int = option(integer(minimum=2, maximum=DEEPEST), default=256)

    samples = _samples({}, {"value_range": [0, 1], "bins": 10})

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        expect_pictures(x)
        return self.change(net.b, x) if net.training else x

    def change(self, b: GraphBuilder, x: Value) -> Value:
        y = spread_over(b, x, self.value_range, BYTES)
        last, all_of_it = self.bins - 1, b.constant(BYTES[1])
        # One and the same but for rounding: where Keras counts a tone, and where it looks it up.
        counted = b.op("divide", b.op("scale", y, factor=float(last)), all_of_it)
        read = b.op("scale", b.op("divide", y, all_of_it), factor=float(last))
        places = (b.op("floor", b.op("clip", place, low=0.0, high=float(last))) for place in (counted, read))
        return spread_over(b, b.op("equalize", y, *places, bins=self.bins), BYTES, self.value_range)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class ContrastLimitedAdaptiveHistogramEqualization(Tones):
    """Gives each tile of a picture such steps that its histogram is even, in training and outside of it.

    There are `tile_grid_size` tiles down and across; no tone counts for more than `clip_limit` times the mean (0: no
    limit). Between the middles of tiles their tones are interpolated. A model with it is not written as ONNX.
    Input shape: (batch, height, width, channels). Output shape: the input's.
    """

    clip_limit: float = option(number(minimum=0), default=4.0)
    tile_grid_size: tuple[int, ...] = option(spatial(2), default=(8, 8))

    samples = (LayerSample({}, ((9, 16, 2),), (9, 16, 2)),
               LayerSample({"value_range": [0, 1], "tile_grid_size": [2, 3], "clip_limit": 0}, ((5, 6, 1),), (5, 6, 1)))

    def change(self, b: GraphBuilder, x: Value) -> Value:
        for extent, count in zip(x.shape[1:3], self.tile_grid_size, strict=True):
            if count * tile(extent, count) > 2 * extent:
                raise OptionMismatch("tile_grid_size", f"tiles that reach at most {extent} pixels beyond {extent}",
                                     list(self.tile_grid_size))
        y = b.op("clahe", spread_over(b, x, self.value_range, BYTES), grid=self.tile_grid_size, limit=self.clip_limit)
        return spread_over(b, y, BYTES, self.value_range)


def _odd(value: Any, pointer: str) -> tuple[int, int]:
    given = value if isinstance(value, (list, tuple)) else (value, value)
    if len(given) != 2:
        raise Mismatch(pointer, "an odd number or a list of two", value)
    found = collect(integer(minimum=1, maximum=255), given, pointer)
    if not all(size % 2 for size in found):
        raise Mismatch(pointer, "odd numbers", value)
    return found[0], found[1]


odd_sizes = Reader(_odd, {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "array", "items": {
    "type": "integer", "minimum": 1}, "minItems": 2, "maxItems": 2}]})
share = factor(0)
SHARPEST = 1e-6
"""What Keras adds to a deviation."""


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandomGaussianBlur(Within):
    """In training, blurs pictures with a probability between the bounds of `factor`, all of a batch alike.

    The standard deviations across and down are drawn between the bounds of `sigma`, in pixels; outside is 0.
    Input shape: (batch, height, width, channels). Output shape: the input's.
    """

    factor: Range = option(share, default=(0.0, 1.0))
    kernel_size: tuple[int, int] = option(odd_sizes, default=(3, 3), doc="an odd number, or two")
    sigma: Range = option(share, default=(0.0, 1.0), doc="a number f for [0, f], or [lower, upper]")

    draws = 4
    samples = _samples({}, {"factor": [1, 1], "kernel_size": [3, 5], "sigma": [0.5, 1], "value_range": [0, 1]})

    def change(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        taken, channels = draws.chosen(x, self.factor), x.shape[3]
        across = self._line(b, draws.shared(x, *self.sigma), 0)
        down = self._line(b, draws.shared(x, *self.sigma), 1)
        # As TensorFlow's backend of Keras 3.15: the weights across stand in the order of a square kernel's lines.
        kernel = b.op("reshape", b.op("multiply", down, across), shape=(*self.kernel_size, 1, 1))
        kernel = b.op("multiply", kernel, b.constant(np.ones((1, 1, channels, 1))))
        border = tuple((size // 2, size // 2) for size in self.kernel_size)
        blurred = b.op("depthwise_conv2d", x, kernel, strides=(1, 1), padding=border)
        return self.clipped(b, b.op("where", taken, blurred, x))

    def _line(self, b: GraphBuilder, deviation: Value, axis: int) -> Value:
        """(1, size) across or (size, 1) down, of sum 1."""
        size = self.kernel_size[axis]
        places = (np.arange(size) - size // 2).reshape((1, size) if axis == 0 else (size, 1))
        deviation = b.op("reshape", b.op("scale", deviation, offset=SHARPEST), shape=(1, 1))
        weights = b.op("exp", b.op("scale", b.op("square", b.op("divide", b.constant(places), deviation)), factor=-0.5))
        return b.op("divide", weights, b.op("reduce_sum", weights, axes=(0, 1), keepdims=True))
