"""Pooling over everything but the batch and the channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net, channels_last
from engine.layers.window import expect_spatial
from engine.options import boolean, option
from engine.registry import register


@dataclass(frozen=True, kw_only=True)
class GlobalPooling(Layer):
    """Options of all global poolings. `keepdims` keeps the dimensions as 1."""

    rank: ClassVar[int]
    reduction: ClassVar[str]
    keepdims: bool = option(boolean, default=False)
    data_format: str = option(channels_last, default="channels_last")

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        expect_spatial(x, self.rank)
        return net.b.op(self.reduction, x, axes=tuple(range(1, self.rank + 1)), keepdims=self.keepdims)


LINES = (LayerSample({}, ((4, 5),), (5,)), LayerSample({"keepdims": True}, ((4, 3),), (1, 3)))
IMAGES = (LayerSample({}, ((3, 4, 5),), (5,)), LayerSample({"keepdims": True}, ((4, 2, 3),), (1, 1, 3)))
VOLUMES = (LayerSample({}, ((3, 4, 2, 5),), (5,)), LayerSample({"keepdims": True}, ((4, 2, 2, 3),), (1, 1, 1, 3)))


@register("layer", aliases=("GlobalAvgPool1D",))
@dataclass(frozen=True, kw_only=True)
class GlobalAveragePooling1D(GlobalPooling):
    """The mean of each channel over all steps; with a mask, over those that count.

    Input shape: (batch, steps, channels). Output shape: (batch, channels).
    """

    rank, reduction, samples = 1, "reduce_mean", LINES
    supports_masking = True

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,), b = inputs, net.b
        mask = net.mask(x)
        if mask is None:
            return super().build(net, *inputs)
        (steps,), _ = expect_spatial(x, 1)
        counts = b.op("reshape", mask, shape=(x.shape[0], steps, 1))
        axes: dict[str, Any] = {"axes": (1,), "keepdims": self.keepdims}
        total = b.op("reduce_sum", b.op("where", counts, x, b.constant(0.0)), **axes)
        return b.op("divide", total, b.op("reduce_sum", counts, **axes))

    def compute_mask(self, net: Net, *inputs: Value) -> None:
        """None: the steps are gone."""


@register("layer", aliases=("GlobalAvgPool2D",))
@dataclass(frozen=True, kw_only=True)
class GlobalAveragePooling2D(GlobalPooling):
    """The mean of each channel.

    Input shape: (batch, height, width, channels). Output shape: (batch, channels).
    """

    rank, reduction, samples = 2, "reduce_mean", IMAGES


@register("layer", aliases=("GlobalAvgPool3D",))
@dataclass(frozen=True, kw_only=True)
class GlobalAveragePooling3D(GlobalPooling):
    """The mean of each channel over a volume.

    Input shape: (batch, depth, height, width, channels). Output shape: (batch, channels).
    """

    rank, reduction, samples = 3, "reduce_mean", VOLUMES


@register("layer", aliases=("GlobalMaxPool1D",))
@dataclass(frozen=True, kw_only=True)
class GlobalMaxPooling1D(GlobalPooling):
    """The largest value of each channel over all steps.

    Input shape: (batch, steps, channels). Output shape: (batch, channels).
    """

    rank, reduction, samples = 1, "reduce_max", LINES


@register("layer", aliases=("GlobalMaxPool2D",))
@dataclass(frozen=True, kw_only=True)
class GlobalMaxPooling2D(GlobalPooling):
    """The largest value of each channel.

    Input shape: (batch, height, width, channels). Output shape: (batch, channels).
    """

    rank, reduction, samples = 2, "reduce_max", IMAGES


@register("layer", aliases=("GlobalMaxPool3D",))
@dataclass(frozen=True, kw_only=True)
class GlobalMaxPooling3D(GlobalPooling):
    """The largest value of each channel over a volume.

    Input shape: (batch, depth, height, width, channels). Output shape: (batch, channels).
    """

    rank, reduction, samples = 3, "reduce_max", VOLUMES
