"""Convolution over images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.graph.ir import Value
from engine.initializers.base import Initializer
from engine.initializers.variance_scaling import GlorotUniform
from engine.layers.base import LayerSample, Net, OptionMismatch, channels_last, expect_image, no_constraint
from engine.layers.weighted import Weighted, initializer, regularizer
from engine.layers.window import Pair, padding_mode, window_padding
from engine.options import Mismatch, integer, option, spatial
from engine.registry import register
from engine.regularizers.base import Regularizer


@dataclass(frozen=True, kw_only=True)
class Convolution(Weighted):
    """Options of both convolutions."""

    kernel_size: Pair = option(spatial(2))
    strides: Pair = option(spatial(2), default=(1, 1))
    padding: str = option(padding_mode, default="valid")
    data_format: str = option(channels_last, default="channels_last")
    dilation_rate: Pair = option(spatial(2), default=(1, 1))

    def check(self, pointer: str) -> None:
        """As in Keras, a convolution is either strided or dilated."""
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise Mismatch(f"{pointer}/dilation_rate", "1 where strides are above 1", list(self.dilation_rate))

    def window(self, size: Pair) -> dict[str, Any]:
        """Attributes of the op for an image of this height and width."""
        padding = window_padding(self.padding, size, self.kernel_size, self.strides, self.dilation_rate)
        return {"strides": self.strides, "padding": padding, "dilation": self.dilation_rate}


@register("layer", aliases=("Convolution2D",))
@dataclass(frozen=True, kw_only=True)
class Conv2D(Convolution):
    """activation(x ⋆ kernel + bias) with `filters` kernels; `groups` divides the channels among them.

    Input shape: (batch, height, width, channels). Output shape: (batch, new height, new width, filters).
    """

    filters: int = option(integer(minimum=1))
    groups: int = option(integer(minimum=1), default=1)
    kernel_initializer: Initializer = option(initializer, default=GlorotUniform())
    kernel_regularizer: Regularizer | None = option(regularizer, default=None)
    kernel_constraint: Any = option(no_constraint, default=None)

    size_option = "filters"
    samples = (
        LayerSample({"filters": 4, "kernel_size": 3, "activation": "relu"}, ((8, 7, 3),), (6, 5, 4), 112),
        LayerSample({"filters": 2, "kernel_size": [3, 2], "strides": 2, "padding": "same"},
                    ((7, 8, 3),), (4, 4, 2), 38),
        LayerSample({"filters": 4, "kernel_size": 3, "dilation_rate": 2, "groups": 2, "use_bias": False},
                    ((9, 9, 6),), (5, 5, 4), 108),
        LayerSample({"filters": 3, "kernel_size": 5, "padding": "same", "strides": [1, 3]},
                    ((4, 10, 1),), (4, 4, 3), 78),
    )

    def check(self, pointer: str) -> None:
        """Every group has the same number of filters."""
        super().check(pointer)
        if self.filters % self.groups:
            raise Mismatch(f"{pointer}/filters", f"a multiple of groups ({self.groups})", self.filters)

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        height, width, channels = expect_image(x)
        if channels % self.groups:
            raise OptionMismatch("groups", f"a divisor of the input's {channels} channels", self.groups)
        kernel = net.weight("kernel", (*self.kernel_size, channels // self.groups, self.filters),
                            self.kernel_initializer, regularizer=self.kernel_regularizer)
        y = net.b.op("conv2d", x, kernel, groups=self.groups, **self.window((height, width)))
        return self.finish(net, y, self.filters)
