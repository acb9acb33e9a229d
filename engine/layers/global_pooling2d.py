"""Pooling over a whole image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net, channels_last, expect_image
from engine.options import boolean, option
from engine.registry import register


@dataclass(frozen=True, kw_only=True)
class GlobalPooling2D(Layer):
    """Options of both global poolings. `keepdims` keeps height and width as 1."""

    reduction: ClassVar[str]
    keepdims: bool = option(boolean, default=False)
    data_format: str = option(channels_last, default="channels_last")

    samples = (LayerSample({}, ((3, 4, 5),), (5,)), LayerSample({"keepdims": True}, ((4, 2, 3),), (1, 1, 3)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        expect_image(x)
        return net.b.op(self.reduction, x, axes=(1, 2), keepdims=self.keepdims)


@register("layer", aliases=("GlobalAvgPool2D",))
@dataclass(frozen=True, kw_only=True)
class GlobalAveragePooling2D(GlobalPooling2D):
    """The mean of each channel.

    Input shape: (batch, height, width, channels). Output shape: (batch, channels).
    """

    reduction = "reduce_mean"


@register("layer", aliases=("GlobalMaxPool2D",))
@dataclass(frozen=True, kw_only=True)
class GlobalMaxPooling2D(GlobalPooling2D):
    """The largest value of each channel.

    Input shape: (batch, height, width, channels). Output shape: (batch, channels).
    """

    reduction = "reduce_max"
