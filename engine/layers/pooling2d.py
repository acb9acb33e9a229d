"""Pooling over windows of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net, channels_last, expect_image
from engine.layers.window import Pair, padding_mode, window_padding
from engine.options import option, optional, spatial
from engine.registry import register


@dataclass(frozen=True, kw_only=True)
class Pooling2D(Layer):
    """Options of both poolings. Without `strides`, windows lie side by side."""

    pool_size: Pair = option(spatial(2), default=(2, 2))
    strides: Pair | None = option(optional(spatial(2)), default=None)
    padding: str = option(padding_mode, default="valid")
    data_format: str = option(channels_last, default="channels_last")

    samples = (
        LayerSample({}, ((6, 7, 3),), (3, 3, 3)),
        LayerSample({"pool_size": 3, "strides": 2, "padding": "same"}, ((6, 7, 2),), (3, 4, 2)),
        LayerSample({"pool_size": [1, 3], "strides": 1}, ((4, 5, 1),), (4, 3, 1)),
    )

    def window(self, x: Value) -> dict[str, Any]:
        """Attributes of the op for an image."""
        height, width, _ = expect_image(x)
        strides = self.strides or self.pool_size
        return {"pool": self.pool_size, "strides": strides,
                "padding": window_padding(self.padding, (height, width), self.pool_size, strides)}


@register("layer", aliases=("MaxPool2D",))
@dataclass(frozen=True, kw_only=True)
class MaxPooling2D(Pooling2D):
    """The largest value of each window.

    Input shape: (batch, height, width, channels). Output shape: (batch, new height, new width, channels).
    """

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        return net.b.apply("max_pool2d", x, **self.window(x))[0]


@register("layer", aliases=("AvgPool2D",))
@dataclass(frozen=True, kw_only=True)
class AveragePooling2D(Pooling2D):
    """The mean of each window; pixels of the padding do not count.

    Input shape: (batch, height, width, channels). Output shape: (batch, new height, new width, channels).
    """

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        return net.b.op("average_pool2d", x, **self.window(x))
