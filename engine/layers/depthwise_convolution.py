"""Convolutions of each channel by itself, alone and followed by a mixture of the channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.constraints.base import Constraint
from engine.graph.ir import Value
from engine.initializers.base import Initializer
from engine.initializers.variance_scaling import GlorotUniform
from engine.layers.base import LayerSample, Net
from engine.layers.convolution import Filtered
from engine.layers.convolve import convolve
from engine.layers.weighted import constraint, initializer, regularizer
from engine.layers.window import Windows1D, Windows2D, expect_spatial
from engine.options import Mismatch, integer, option
from engine.registry import register
from engine.regularizers.base import Regularizer


@dataclass(frozen=True, kw_only=True)
class Channelwise(Filtered):
    """A layer with `depth_multiplier` kernels for every channel."""

    depth_multiplier: int = option(integer(minimum=1), default=1)
    depthwise_initializer: Initializer = option(initializer, default=GlorotUniform())
    depthwise_regularizer: Regularizer | None = option(regularizer, default=None)
    depthwise_constraint: Constraint | None = option(constraint, default=None)

    def check(self, pointer: str) -> None:
        """As in Keras's backends, all strides are equal."""
        super().check(pointer)
        if len(set(self.strides)) > 1:
            raise Mismatch(f"{pointer}/strides", "equal strides for height and width", list(self.strides))

    def spread(self, net: Net, x: Value, variable: str) -> Value:
        """Every channel by its kernels, in image form: channels * depth_multiplier of them."""
        sizes, channels = expect_spatial(x, self.rank)
        kernel = net.weight(variable, (*self.kernel_size, channels, self.depth_multiplier),
                            self.depthwise_initializer, regularizer=self.depthwise_regularizer, options="depthwise")
        return convolve(net.b, x, kernel, op="depthwise_conv2d", **self.around(sizes))


@dataclass(frozen=True, kw_only=True)
class Depthwise(Channelwise):
    """activation(x ⋆ kernel + bias), each channel by itself."""

    size_option = "depth_multiplier"

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        y = self.spread(net, x, "kernel")
        channels = x.shape[-1] * self.depth_multiplier
        return self.finish(net, y, channels, (x.shape[0], *self.places(tuple(x.shape[1:-1])), channels))

    def torch_state(self, variables: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        """A convolution in as many groups as channels: (*window, channels, multiplier) -> (out, 1, *window)."""
        kernel = np.moveaxis(variables["kernel"], (-2, -1), (0, 1))
        rest = {name: array for name, array in variables.items() if name != "kernel"}
        return {"weight": kernel.reshape(-1, 1, *kernel.shape[2:]), **super().torch_state(rest)}


@dataclass(frozen=True, kw_only=True)
class Separable(Channelwise):
    """activation((x ⋆ depthwise kernel) · pointwise kernel + bias)."""

    filters: int = option(integer(minimum=1))
    pointwise_initializer: Initializer = option(initializer, default=GlorotUniform())
    pointwise_regularizer: Regularizer | None = option(regularizer, default=None)
    pointwise_constraint: Constraint | None = option(constraint, default=None)

    size_option = "filters"

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        y = self.spread(net, x, "depthwise_kernel")
        channels = x.shape[-1] * self.depth_multiplier
        kernel = net.weight("pointwise_kernel", (*(1,) * self.rank, channels, self.filters),
                            self.pointwise_initializer, regularizer=self.pointwise_regularizer, options="pointwise")
        if self.rank == 1:
            kernel = net.b.op("reshape", kernel, shape=(1, *kernel.shape))
        y = net.b.op("conv2d", y, kernel)
        return self.finish(net, y, self.filters, (x.shape[0], *self.places(tuple(x.shape[1:-1])), self.filters))


@register("layer", aliases=("DepthwiseConvolution1D",))
@dataclass(frozen=True, kw_only=True)
class DepthwiseConv1D(Windows1D, Depthwise):
    """activation(x ⋆ kernel + bias) over steps, with `depth_multiplier` kernels for every channel.

    Input shape: (batch, steps, channels). Output shape: (batch, new steps, channels * multiplier).
    """

    samples = (
        LayerSample({"kernel_size": 3}, ((7, 5),), (5, 5), 20),
        LayerSample({"kernel_size": 3, "strides": 2, "padding": "same", "depth_multiplier": 2, "activation": "relu6"},
                    ((7, 3),), (4, 6), 24),
        LayerSample({"kernel_size": 3, "dilation_rate": 2, "use_bias": False}, ((7, 2),), (3, 2), 6),
    )


@register("layer", aliases=("DepthwiseConvolution2D",))
@dataclass(frozen=True, kw_only=True)
class DepthwiseConv2D(Windows2D, Depthwise):
    """activation(x ⋆ kernel + bias) with `depth_multiplier` kernels for every channel.

    Input shape: (batch, height, width, channels). Output shape: (batch, new height, new width, channels * multiplier).
    """

    samples = (
        LayerSample({"kernel_size": 3}, ((6, 7, 5),), (4, 5, 5), 50),
        LayerSample({"kernel_size": 3, "strides": 2, "padding": "same", "depth_multiplier": 2, "activation": "relu6"},
                    ((6, 7, 3),), (3, 4, 6), 60),
        LayerSample({"kernel_size": 3, "dilation_rate": 2, "use_bias": False}, ((7, 7, 2),), (3, 3, 2), 18),
    )


@register("layer", aliases=("SeparableConvolution1D",))
@dataclass(frozen=True, kw_only=True)
class SeparableConv1D(Windows1D, Separable):
    """Every channel by its own kernels over steps, then `filters` mixtures of the channels (Chollet, CVPR 2017).

    Input shape: (batch, steps, channels). Output shape: (batch, new steps, filters).
    """

    samples = (
        LayerSample({"filters": 4, "kernel_size": 3}, ((7, 5),), (5, 4), 39),
        LayerSample({"filters": 3, "kernel_size": 2, "depth_multiplier": 2, "padding": "same", "use_bias": False,
                     "activation": "tanh"}, ((6, 2),), (6, 3), 20),
    )


@register("layer", aliases=("SeparableConvolution2D",))
@dataclass(frozen=True, kw_only=True)
class SeparableConv2D(Windows2D, Separable):
    """Every channel by its own kernels, then `filters` mixtures of the channels (Chollet, CVPR 2017).

    Input shape: (batch, height, width, channels). Output shape: (batch, new height, new width, filters).
    """

    samples = (
        LayerSample({"filters": 4, "kernel_size": 3}, ((6, 7, 5),), (4, 5, 4), 69),
        LayerSample({"filters": 3, "kernel_size": [2, 3], "strides": 2, "depth_multiplier": 2, "padding": "same",
                     "activation": "relu"}, ((6, 7, 2),), (3, 4, 3), 39),
    )
