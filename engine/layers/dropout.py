"""Layers that leave out values in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net, channels_last
from engine.layers.randomness import noise_shape, noise_shape_option, seed_option, stream
from engine.layers.window import expect_spatial
from engine.ops.activation import SELU_ALPHA, SELU_SCALE
from engine.options import number, option
from engine.registry import register
from engine.types import Shape

share = number(minimum=0, below=1)


def drop(net: Net, x: Value, rate: float, shape: Shape, number: int) -> Value:
    """x / (1 - rate) with probability 1 - rate, else 0; what `shape` has as 1 shares its draw."""
    if shape == x.shape:
        return net.b.op("dropout", x, rate=rate, stream=number)
    mask = net.b.op("random_mask", x, shape=shape, rate=rate, kept=1 / (1 - rate), stream=number)
    return net.b.op("multiply", x, mask)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Dropout(Layer):
    """In training, sets a share `rate` of the elements to 0 and divides the others by 1 - rate; otherwise does nothing.

    Elements share a draw along the dimensions for which `noise_shape` says 1.
    Input shape: any. Output shape: the input's.
    """

    rate: float = option(share)
    seed: int | None = option(seed_option, default=None)
    noise_shape: tuple[int | None, ...] | None = option(noise_shape_option, default=None)

    supports_masking = True
    samples = (LayerSample({"rate": 0.5}, ((7,),), (7,)), LayerSample({"rate": 0}, ((2, 3),), (2, 3)),
               LayerSample({"rate": 0.2, "noise_shape": [None, 1, None], "seed": 7}, ((4, 3),), (4, 3)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        number, shape = stream(net, self.seed), noise_shape(x, self.noise_shape)
        return drop(net, x, self.rate, shape, number) if net.training and self.rate else x


@dataclass(frozen=True, kw_only=True)
class SpatialDropout(Layer):
    """Whole channels of an example are left out together (Tompson et al., CVPR 2015)."""

    supports_masking = True
    rank: ClassVar[int]
    rate: float = option(share)
    seed: int | None = option(seed_option, default=None)

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        expect_spatial(x, self.rank)
        number = stream(net, self.seed)
        shape = (x.shape[0], *(1,) * self.rank, x.shape[-1])
        return drop(net, x, self.rate, shape, number) if net.training and self.rate else x


@register("layer")
@dataclass(frozen=True, kw_only=True)
class SpatialDropout1D(SpatialDropout):
    """In training, leaves out whole channels of a sequence.

    Input shape: (batch, steps, channels). Output shape: the input's.
    """

    rank = 1
    samples = (LayerSample({"rate": 0.5}, ((4, 3),), (4, 3)),)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class SpatialDropout2D(SpatialDropout):
    """In training, leaves out whole channels of an image.

    Input shape: (batch, height, width, channels). Output shape: the input's.
    """

    rank = 2
    data_format: str = option(channels_last, default="channels_last")
    samples = (LayerSample({"rate": 0.5, "seed": 3}, ((4, 3, 2),), (4, 3, 2)),)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class SpatialDropout3D(SpatialDropout):
    """In training, leaves out whole channels of a volume.

    Input shape: (batch, depth, height, width, channels). Output shape: the input's.
    """

    rank = 3
    data_format: str = option(channels_last, default="channels_last")
    samples = (LayerSample({"rate": 0.5}, ((2, 4, 3, 2),), (2, 4, 3, 2)),)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class AlphaDropout(Layer):
    """In training, sets a share `rate` to selu's lowest value, and keeps mean and variance (Klambauer et al., 2017).

    Input shape: any. Output shape: the input's.
    """

    rate: float = option(share)
    seed: int | None = option(seed_option, default=None)
    noise_shape: tuple[int | None, ...] | None = option(noise_shape_option, default=None)

    supports_masking = True
    samples = (LayerSample({"rate": 0.5}, ((7,),), (7,)),
               LayerSample({"rate": 0.2, "noise_shape": [None, 1, None]}, ((4, 3),), (4, 3)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        number, shape = stream(net, self.seed), noise_shape(x, self.noise_shape)
        if not net.training or not self.rate:
            return x
        lowest = -SELU_ALPHA * SELU_SCALE
        a = ((1 - self.rate) * (1 + self.rate * lowest**2)) ** -0.5
        mask = net.b.op("random_mask", x, shape=shape, rate=self.rate, kept=1.0, stream=number)
        # a (x m + lowest (1 - m)) - a lowest rate, with mask m.
        left_out = net.b.op("scale", mask, factor=-a * lowest, offset=a * lowest * (1 - self.rate))
        return net.b.op("add", net.b.op("multiply", x, net.b.op("scale", mask, factor=a)), left_out)
