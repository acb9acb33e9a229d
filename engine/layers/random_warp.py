"""Pictures moved, turned, zoomed and sheared at random in training, with the matrices of Keras 3's layers.

A layer says at which place of the old picture each place (x, y) of the new one is read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from engine.graph.ir import GraphBuilder, Value
from engine.layers.base import Layer, LayerSample, Net, channels_last
from engine.layers.pictures import Draws, Range, expect_no_weights_before, expect_pictures, factor
from engine.layers.randomness import seed_option
from engine.ops.sample_pictures import FILLS, INTERPOLATIONS
from engine.options import Reader, choice, collect, number, option, optional
from engine.registry import register

Place = tuple[Value, Value]
"""x and y, counted in pixels, broadcast to (batch, height, width, 1)."""


@dataclass(frozen=True, kw_only=True)
class Moving(Layer):
    """Pictures read at other places, by `draws` numbers an example."""

    draws: ClassVar[int] = 1
    interpolation: str = option(choice(*INTERPOLATIONS), default="bilinear")
    seed: int | None = option(seed_option, default=None)
    fill_value: float = option(number(), default=0.0)
    data_format: str = option(channels_last, default="channels_last")

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        expect_pictures(x)
        draws = Draws(net, self.seed, self.draws)
        expect_no_weights_before(net, x)
        return self.move(net.b, x, draws) if net.training else x

    def move(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        """The pictures in training."""
        raise NotImplementedError


def pixels(b: GraphBuilder, x: Value) -> Place:
    """The places of a picture's own pixels."""
    _, height, width, _ = x.shape
    rows, columns = (b.constant(np.arange(extent, dtype=np.float32).reshape(shape))
                     for extent, shape in ((height, (1, height, 1, 1)), (width, (1, 1, width, 1))))
    return columns, rows


@dataclass(frozen=True, kw_only=True)
class RandomWarp(Moving):
    """A change of places; what is outside of the picture is taken as `fill_mode` says."""

    fill_mode: str = option(choice(*FILLS), default="reflect")

    def move(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        across, down = self.source(b, x, draws, pixels(b, x))
        return b.op("sample_pictures", x, down, across, fill_mode=self.fill_mode, interpolation=self.interpolation,
                    fill_value=self.fill_value)

    def source(self, b: GraphBuilder, x: Value, draws: Draws, place: Place) -> Place:
        """Where the pixel at `place` is read."""
        raise NotImplementedError


def spread(bound: Reader) -> Reader:
    """A number f for [-f, f], or [lower, upper] both of which `bound` takes; what a number is written as is read."""
    pair = factor()

    def read(value: Any, pointer: str) -> Range:
        found: Range = pair(value, pointer)
        if isinstance(value, (list, tuple)) and found[0] != -found[1]:
            collect(bound, value, pointer)
        return found

    return Reader(read, pair.schema)


def keras_factor(pair: Range | None) -> float | list[float] | None:
    """As Keras reads it: it takes no negative bounds but those of a number."""
    return None if pair is None else pair[1] if pair[0] == -pair[1] else list(pair)


def combined(b: GraphBuilder, place: Place, right: Value, down: Value, shift: Value | None = None) -> Value:
    """right * x + down * y + shift"""
    x, y = place
    found = b.op("add", b.op("multiply", right, x), b.op("multiply", down, y))
    return found if shift is None else b.op("add", found, shift)


def around_middle(b: GraphBuilder, middle: float, value: Value) -> Value:
    """middle * (1 - value)"""
    return b.op("scale", value, factor=-middle, offset=middle)


def _samples(*options: dict[str, object]) -> tuple[LayerSample, ...]:
    return tuple(LayerSample(given, ((4, 5, 2),), (4, 5, 2)) for given in options)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandomTranslation(RandomWarp):
    """In training, shifts each picture by a random part of its height and width.

    Input shape: (batch, height, width, channels). Output shape: the input's.
    """

    draws = 2
    height_factor: Range = option(factor(), doc="a number f for [-f, f], or [lower, upper]")
    width_factor: Range = option(factor(), doc="a number f for [-f, f], or [lower, upper]")

    samples = _samples({"height_factor": 0.3, "width_factor": [0, 0.5]},
                       {"height_factor": 0.5, "width_factor": 0, "fill_mode": "constant", "fill_value": 2,
                        "interpolation": "nearest"})

    def source(self, b: GraphBuilder, x: Value, draws: Draws, place: Place) -> Place:
        down, right = (draws.uniform(x, factor[0] * size, factor[1] * size) for factor, size in zip(
            (self.height_factor, self.width_factor), x.shape[1:3], strict=True))
        return b.op("subtract", place[0], right), b.op("subtract", place[1], down)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandomRotation(RandomWarp):
    """In training, turns each picture around its middle by a random part `factor` of a whole turn.

    Input shape: (batch, height, width, channels). Output shape: the input's.
    """

    factor: Range = option(factor(), doc="a number f for [-f, f], or [lower, upper], in whole turns")

    samples = _samples({"factor": 0.2}, {"factor": [0.1, 0.3], "fill_mode": "constant", "interpolation": "nearest"})

    def source(self, b: GraphBuilder, x: Value, draws: Draws, place: Place) -> Place:
        angle = draws.uniform(x, self.factor[0] * 2 * math.pi, self.factor[1] * 2 * math.pi)
        cos, sin = b.op("cos", angle), b.op("sin", angle)
        middle_y, middle_x = ((size - 1) / 2 for size in x.shape[1:3])
        back = b.op("negative", sin)
        shift_x = b.op("add", around_middle(b, middle_x, cos), b.op("scale", sin, factor=middle_y))
        shift_y = b.op("subtract", around_middle(b, middle_y, cos), b.op("scale", sin, factor=middle_x))
        return combined(b, place, cos, back, shift_x), combined(b, place, sin, cos, shift_y)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandomZoom(RandomWarp):
    """In training, reads each picture around its middle with 1 + a random factor times the distance of the pixels.

    Without `width_factor` both directions take the same number.
    Input shape: (batch, height, width, channels). Output shape: the input's.
    """

    draws = 2
    height_factor: Range = option(spread(number(above=-1, maximum=1)),
                                  doc="a number f for [-f, f], or [lower, upper]; below 0 zooms in")
    width_factor: Range | None = option(optional(spread(number(above=-1, maximum=1))), default=None)

    samples = _samples({"height_factor": 0.2}, {"height_factor": [0.5, 0.5], "width_factor": [-0.5, 0],
                                                "fill_mode": "wrap"})

    def keras_options(self) -> dict[str, Any]:
        return {"height_factor": keras_factor(self.height_factor), "width_factor": keras_factor(self.width_factor)}

    def source(self, b: GraphBuilder, x: Value, draws: Draws, place: Place) -> Place:
        down = draws.uniform(x, 1 + self.height_factor[0], 1 + self.height_factor[1])
        right = down if self.width_factor is None else draws.uniform(
            x, 1 + self.width_factor[0], 1 + self.width_factor[1])
        found = []
        for at, zoom, size in zip(place, (right, down), (x.shape[2], x.shape[1]), strict=True):
            middle = (size - 1) / 2
            found.append(b.op("add", b.op("multiply", zoom, at), around_middle(b, middle, zoom)))
        return found[0], found[1]


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandomShear(RandomWarp):
    """In training, shifts each line by a part of its distance from the corner, and each column; both one way or both
    the other.

    Input shape: (batch, height, width, channels). Output shape: the input's.
    """

    draws = 3
    x_factor: Range = option(spread(number(minimum=0, maximum=1)), default=(0.0, 0.0),
                             doc="a number f for [-f, f], or [lower, upper]")
    y_factor: Range = option(spread(number(minimum=0, maximum=1)), default=(0.0, 0.0),
                             doc="a number f for [-f, f], or [lower, upper]")

    samples = _samples({"x_factor": 0.4}, {"x_factor": [0.5, 0.5], "y_factor": [0, 1], "fill_mode": "nearest"})

    def keras_options(self) -> dict[str, Any]:
        return {"x_factor": keras_factor(self.x_factor), "y_factor": keras_factor(self.y_factor)}

    def source(self, b: GraphBuilder, x: Value, draws: Draws, place: Place) -> Place:
        turned = b.op("greater", draws.uniform(x, 0, 1), b.constant(0.5))
        way = b.op("where", turned, b.constant(-1.0), b.constant(1.0))
        right, down = (b.op("multiply", way, draws.uniform(x, *bounds)) for bounds in (self.x_factor, self.y_factor))
        return (b.op("add", place[0], b.op("multiply", right, place[1])),
                b.op("add", place[1], b.op("multiply", down, place[0])))
