"""Colours of pictures changed at random in training, with the formulas of Keras 3's layers of these names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.graph.ir import GraphBuilder, Value
from engine.layers.base import Layer, LayerSample, Net, channels_last
from engine.layers.hue import saturated, turned
from engine.layers.pictures import COLOURS, Draws, Range, expect_pictures, factor, grey, mixed, value_range
from engine.layers.randomness import seed_option
from engine.options import number, option, optional
from engine.registry import register

BYTES = (0.0, 255.0)
EPSILON = 1e-7


@dataclass(frozen=True, kw_only=True)
class RandomColor(Layer):
    """A change of colours that takes `draws` numbers an example."""

    draws: ClassVar[int] = 1
    channels: ClassVar[int | None] = None
    """How many a picture must have."""
    seed: int | None = option(seed_option, default=None)
    data_format: str = option(channels_last, default="channels_last")

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        expect_pictures(x, self.channels)
        draws = Draws(net, self.seed, self.draws)
        return self.change(net.b, x, draws) if net.training else x

    def change(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        """The picture in training."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Within(RandomColor):
    """One whose result is clipped to the range of values."""

    value_range: Range = option(value_range, default=BYTES)

    def clipped(self, b: GraphBuilder, x: Value) -> Value:
        """Within the range."""
        return b.op("clip", x, low=self.value_range[0], high=self.value_range[1])


def _samples(shape: tuple[int, ...], *options: dict[str, object]) -> tuple[LayerSample, ...]:
    return tuple(LayerSample(given, (shape,), shape) for given in options)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandomBrightness(Within):
    """In training, adds a part `factor` of the range of values, one for each picture.

    Input shape: (batch, height, width, channels). Output shape: the input's.
    """

    factor: Range = option(factor())

    samples = _samples((3, 4, 2), {"factor": 0.2}, {"factor": [-0.5, 0], "value_range": [0, 1], "seed": 3})

    def change(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        span = self.value_range[1] - self.value_range[0]
        added = draws.uniform(x, self.factor[0] * span, self.factor[1] * span)
        return self.clipped(b, b.op("add", x, added))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandomContrast(Within):
    """In training, multiplies the distance from each channel's mean by 1 - lower to 1 + upper, one for each picture.

    Input shape: (batch, height, width, channels). Output shape: the input's.
    """

    factor: Range = option(factor(0))

    samples = _samples((3, 4, 2), {"factor": 0.2}, {"factor": [0.5, 0.5], "value_range": [-1, 1]})

    def change(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        mean = b.op("reduce_mean", x, axes=(1, 2), keepdims=True)
        share = draws.uniform(x, 1 - self.factor[0], 1 + self.factor[1])
        return self.clipped(b, b.op("add", b.op("multiply", b.op("subtract", x, mean), share), mean))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandomGrayscale(RandomColor):
    """In training, makes a share `factor` of the pictures grey.

    Input shape: (batch, height, width, 3). Output shape: the input's.
    """

    factor: float = option(number(minimum=0, maximum=1), default=0.5)

    channels = COLOURS
    samples = _samples((2, 3, 3), {}, {"factor": 1})

    def change(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        chosen = b.op("greater", b.constant(self.factor), draws.uniform(x, 0, 1))
        return b.op("where", chosen, grey(b, x), x)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandomColorDegeneration(Within):
    """In training, moves each picture a random part `factor` of the way to grey.

    Input shape: (batch, height, width, 3). Output shape: the input's.
    """

    factor: Range = option(factor())

    channels = COLOURS
    samples = _samples((2, 3, 3), {"factor": 0.5})

    def change(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        return self.clipped(b, mixed(b, x, grey(b, x), draws.uniform(x, *self.factor)))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandomSaturation(Within):
    """In training, multiplies each picture's saturation by u / (1 - u), u between the bounds of `factor`.

    Hue and value stay. Input shape: (batch, height, width, 3). Output shape: the input's.
    """

    factor: Range = option(factor())

    channels = COLOURS
    samples = _samples((2, 3, 3), {"factor": [0.2, 0.8], "value_range": [0, 1]})

    def change(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        drawn = draws.uniform(x, *self.factor)
        share = b.op("divide", drawn, b.op("scale", drawn, factor=-1.0, offset=1 + EPSILON))
        return saturated(b, x, share, self.value_range)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandomHue(Within):
    """In training, turns each picture's hue by half of `factor` of the circle, in either direction.

    Input shape: (batch, height, width, 3). Output shape: the input's.
    """

    factor: Range = option(factor(0))

    draws = 2
    channels = COLOURS
    samples = _samples((2, 3, 3), {"factor": 0.6, "value_range": [0, 1]}, {"factor": [0.1, 0.2]})

    def change(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        sign = b.op("scale", b.op("greater", draws.uniform(x, 0, 1), b.constant(0.5)), factor=-2.0, offset=1.0)
        turn = b.op("multiply", sign, draws.uniform(x, self.factor[0] / 2, self.factor[1] / 2))
        low, high = self.value_range
        span = high - low or 1.0
        inside = turned(b, b.op("scale", x, factor=1 / span, offset=-low / span), turn)
        return b.op("scale", b.op("clip", inside, low=0.0, high=1.0), factor=span, offset=low)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandomSharpness(Within):
    """In training, blurs (u below 1/2) or sharpens (above) each picture, u between the bounds of `factor`.

    Input shape: (batch, height, width, channels). Output shape: the input's.
    """

    factor: Range = option(factor(0))

    samples = _samples((3, 4, 2), {"factor": 0.7}, {"factor": [0.5, 1], "value_range": [0, 1]})

    def change(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        kernel = np.full((3, 3, x.shape[3], 1), 1 / 13)
        kernel[1, 1] = 5 / 13
        smooth = b.op("depthwise_conv2d", x, b.constant(kernel), strides=(1, 1), padding=((1, 1), (1, 1)))
        blurred = draws.uniform(x, 1 - 2 * self.factor[1], 1 - 2 * self.factor[0])
        return self.clipped(b, mixed(b, x, smooth, blurred))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandomInvert(Within):
    """In training, takes pictures from the highest value, with a probability between the bounds of `factor`.

    Input shape: (batch, height, width, channels). Output shape: the input's.
    """

    factor: Range = option(factor(0), default=(0.0, 1.0))

    draws = 2
    samples = _samples((3, 4, 2), {}, {"factor": [1, 1], "value_range": [0, 1]})

    def change(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        chosen = draws.chosen(x, self.factor)
        negative = b.op("scale", x, factor=-1.0, offset=self.value_range[1])
        return self.clipped(b, b.op("where", chosen, negative, x))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandomColorJitter(RandomColor):
    """In training, RandomBrightness, RandomContrast, RandomSaturation and RandomHue one after the other, where given.

    Input shape: (batch, height, width, 3). Output shape: the input's.
    """

    value_range: Range = option(value_range, default=BYTES)
    brightness_factor: Range | None = option(optional(factor()), default=None)
    contrast_factor: Range | None = option(optional(factor(0)), default=None)
    saturation_factor: Range | None = option(optional(factor()), default=None)
    hue_factor: Range | None = option(optional(factor(0)), default=None)

    draws = 5
    channels = COLOURS
    samples = _samples((2, 3, 3), {"brightness_factor": 0.1, "contrast_factor": 0.2, "value_range": [0, 1],
                                   "saturation_factor": [0.3, 0.6], "hue_factor": 0.1}, {"hue_factor": 0.2})

    def change(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        parts: list[tuple[Callable[..., Within], Range | None]] = [
            (RandomBrightness, self.brightness_factor), (RandomContrast, self.contrast_factor),
            (RandomSaturation, self.saturation_factor), (RandomHue, self.hue_factor)]
        for part, given in parts:
            if given is not None:
                x = part(factor=given, value_range=self.value_range).change(b, x, draws)
        return x
