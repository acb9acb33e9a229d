"""Pooling to a given size, whatever the input's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.graph.ir import GraphBuilder, Value
from engine.layers.base import Layer, LayerSample, Net, channels_last
from engine.layers.pooling import largest
from engine.layers.window import Sizes, expect_spatial
from engine.options import option, spatial
from engine.registry import register


def windows(size: int, count: int) -> list[range]:
    """`count` windows that cover `size` positions, each of its share rounded outwards, as in Keras and PyTorch."""
    return [range(place * size // count, -(-(place + 1) * size // count)) for place in range(count)]


def mean_along(b: GraphBuilder, x: Value, axis: int, count: int) -> Value:
    """The means of the windows of one dimension."""
    taps = tuple(tuple((place, 1 / len(window)) for place in window) for window in windows(x.shape[axis], count))
    return b.op("resample", x, axis=axis, taps=taps)


@dataclass(frozen=True, kw_only=True)
class AdaptivePooling(Layer):
    """Options of all adaptive poolings."""

    rank: ClassVar[int]
    output_size: Sizes
    data_format: str = option(channels_last, default="channels_last")

    size_option = "output_size"

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        expect_spatial(x, self.rank)
        for axis, count in enumerate(self.output_size, 1):
            x = self.along(net.b, x, axis, count)
        return x

    def along(self, b: GraphBuilder, x: Value, axis: int, count: int) -> Value:
        """Pool one dimension to `count` positions."""
        raise NotImplementedError


class Means(AdaptivePooling):
    """Means of boxes are means along one dimension after the other."""

    def along(self, b: GraphBuilder, x: Value, axis: int, count: int) -> Value:
        return mean_along(b, x, axis, count)


class Largest(AdaptivePooling):
    """So are largest values."""

    def along(self, b: GraphBuilder, x: Value, axis: int, count: int) -> Value:
        return largest(b, x, axis, windows(x.shape[axis], count))


@dataclass(frozen=True, kw_only=True)
class Adaptive1D(AdaptivePooling):
    """Over steps."""

    rank = 1
    output_size: Sizes = option(spatial(1))
    samples = (LayerSample({"output_size": 3}, ((8, 2),), (3, 2)), LayerSample({"output_size": [5]}, ((3, 2),), (5, 2)))


@dataclass(frozen=True, kw_only=True)
class Adaptive2D(AdaptivePooling):
    """Over height and width."""

    rank = 2
    output_size: Sizes = option(spatial(2))
    samples = (LayerSample({"output_size": 3}, ((8, 6, 2),), (3, 3, 2)),
               LayerSample({"output_size": [1, 4]}, ((7, 5, 2),), (1, 4, 2)))


@dataclass(frozen=True, kw_only=True)
class Adaptive3D(AdaptivePooling):
    """Over depth, height and width."""

    rank = 3
    output_size: Sizes = option(spatial(3))
    samples = (LayerSample({"output_size": 2}, ((5, 4, 3, 2),), (2, 2, 2, 2)),)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class AdaptiveAveragePooling1D(Adaptive1D, Means):
    """The means of `output_size` windows that cover all steps.

    Input shape: (batch, steps, channels). Output shape: (batch, output_size, channels).
    """


@register("layer")
@dataclass(frozen=True, kw_only=True)
class AdaptiveAveragePooling2D(Adaptive2D, Means):
    """The means of `output_size` windows that cover the image.

    Input shape: (batch, height, width, channels). Output shape: (batch, *output_size, channels).
    """


@register("layer")
@dataclass(frozen=True, kw_only=True)
class AdaptiveAveragePooling3D(Adaptive3D, Means):
    """The means of `output_size` boxes that cover the volume.

    Input shape: (batch, depth, height, width, channels). Output shape: (batch, *output_size, channels).
    """


@register("layer")
@dataclass(frozen=True, kw_only=True)
class AdaptiveMaxPooling1D(Adaptive1D, Largest):
    """The largest values of `output_size` windows that cover all steps.

    Input shape: (batch, steps, channels). Output shape: (batch, output_size, channels).
    """


@register("layer")
@dataclass(frozen=True, kw_only=True)
class AdaptiveMaxPooling2D(Adaptive2D, Largest):
    """The largest values of `output_size` windows that cover the image.

    Input shape: (batch, height, width, channels). Output shape: (batch, *output_size, channels).
    """


@register("layer")
@dataclass(frozen=True, kw_only=True)
class AdaptiveMaxPooling3D(Adaptive3D, Largest):
    """The largest values of `output_size` boxes that cover the volume.

    Input shape: (batch, depth, height, width, channels). Output shape: (batch, *output_size, channels).
    """
