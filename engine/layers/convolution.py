"""Convolutions over sequences, images and volumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.constraints.base import Constraint
from engine.graph.ir import Value
from engine.initializers.base import Initializer
from engine.initializers.variance_scaling import GlorotUniform
from engine.layers.base import LayerSample, Net, OptionMismatch, channels_last
from engine.layers.convolve import convolve
from engine.layers.weighted import Weighted, constraint, initializer, regularizer
from engine.layers.window import (
    Windows,
    Windows1D,
    Windows2D,
    Windows3D,
    causal_mode,
    expect_spatial,
    padding_mode,
    window_padding,
)
from engine.options import Mismatch, integer, option
from engine.registry import register
from engine.regularizers.base import Regularizer
from engine.windows import output_size


@dataclass(frozen=True, kw_only=True)
class Filtered(Windows, Weighted):
    """A layer with a kernel that moves: where it may stand, and where it stands."""

    padding: str = option(padding_mode, default="valid")
    data_format: str = option(channels_last, default="channels_last")

    def around(self, sizes: tuple[int, ...]) -> dict[str, Any]:
        """Strides, padding and dilation for an input of these sizes."""
        padding = window_padding(self.padding, sizes, self.kernel_size, self.strides, self.dilation_rate)
        return {"strides": self.strides, "padding": padding, "dilation": self.dilation_rate}

    def places(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """The sizes of the output."""
        padding = self.around(sizes)["padding"]
        return tuple(output_size(*along) for along in
                     zip(sizes, self.kernel_size, self.strides, self.dilation_rate, padding, strict=True))


@dataclass(frozen=True, kw_only=True)
class Convolution(Filtered):
    """activation(x ⋆ kernel + bias) with `filters` kernels; `groups` divides the channels among them."""

    filters: int = option(integer(minimum=1))
    groups: int = option(integer(minimum=1), default=1)
    kernel_initializer: Initializer = option(initializer, default=GlorotUniform())
    kernel_regularizer: Regularizer | None = option(regularizer, default=None)
    kernel_constraint: Constraint | None = option(constraint, default=None)

    size_option = "filters"

    def check(self, pointer: str) -> None:
        """Every group has the same number of filters."""
        super().check(pointer)
        if self.filters % self.groups:
            raise Mismatch(f"{pointer}/filters", f"a multiple of groups ({self.groups})", self.filters)

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        sizes, channels = expect_spatial(x, self.rank)
        if channels % self.groups:
            raise OptionMismatch("groups", f"a divisor of the input's {channels} channels", self.groups)
        kernel = net.weight("kernel", (*self.kernel_size, channels // self.groups, self.filters),
                            self.kernel_initializer, regularizer=self.kernel_regularizer)
        y = convolve(net.b, x, kernel, groups=self.groups, **self.around(sizes))
        return self.finish(net, y, self.filters, (x.shape[0], *self.places(sizes), self.filters))


@register("layer", aliases=("Convolution1D",))
@dataclass(frozen=True, kw_only=True)
class Conv1D(Windows1D, Convolution):
    """activation(x ⋆ kernel + bias) over the steps of a sequence; `causal` lets no step see a later one.

    Input shape: (batch, steps, channels). Output shape: (batch, new steps, filters).
    """

    padding: str = option(causal_mode, default="valid")

    samples = (
        LayerSample({"filters": 4, "kernel_size": 3, "activation": "relu"}, ((8, 3),), (6, 4), 40),
        LayerSample({"filters": 2, "kernel_size": [3], "strides": 2, "padding": "same"}, ((7, 3),), (4, 2), 20),
        LayerSample({"filters": 4, "kernel_size": 3, "dilation_rate": 2, "padding": "causal", "groups": 2,
                     "use_bias": False}, ((9, 6),), (9, 4), 36),
        LayerSample({"filters": 4, "kernel_size": 2, "activation": {"type": "softmax", "axis": 1}}, ((5, 3),), (4, 4),
                    28),
    )


@register("layer", aliases=("Convolution2D",))
@dataclass(frozen=True, kw_only=True)
class Conv2D(Windows2D, Convolution):
    """activation(x ⋆ kernel + bias) with `filters` kernels; `groups` divides the channels among them.

    Input shape: (batch, height, width, channels). Output shape: (batch, new height, new width, filters).
    """

    samples = (
        LayerSample({"filters": 4, "kernel_size": 3, "activation": "relu"}, ((8, 7, 3),), (6, 5, 4), 112),
        LayerSample({"filters": 2, "kernel_size": [3, 2], "strides": 2, "padding": "same"},
                    ((7, 8, 3),), (4, 4, 2), 38),
        LayerSample({"filters": 4, "kernel_size": 3, "dilation_rate": 2, "groups": 2, "use_bias": False},
                    ((9, 9, 6),), (5, 5, 4), 108),
        LayerSample({"filters": 3, "kernel_size": 5, "padding": "same", "strides": [1, 3]},
                    ((4, 10, 1),), (4, 4, 3), 78),
    )


@register("layer", aliases=("Convolution3D",))
@dataclass(frozen=True, kw_only=True)
class Conv3D(Windows3D, Convolution):
    """activation(x ⋆ kernel + bias) over volumes.

    Input shape: (batch, depth, height, width, channels).
    Output shape: (batch, new depth, new height, new width, filters).
    """

    samples = (
        LayerSample({"filters": 4, "kernel_size": 2, "activation": "relu"}, ((3, 4, 5, 2),), (2, 3, 4, 4), 68),
        LayerSample({"filters": 2, "kernel_size": [3, 1, 2], "strides": 2, "padding": "same"},
                    ((4, 5, 3, 3),), (2, 3, 2, 2), 38),
        LayerSample({"filters": 4, "kernel_size": 3, "dilation_rate": [2, 1, 1], "groups": 2, "use_bias": False},
                    ((5, 3, 3, 4),), (1, 1, 1, 4), 216),
    )
