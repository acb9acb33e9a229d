"""Convolution of each channel by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.graph.ir import Value
from engine.initializers.base import Initializer
from engine.initializers.variance_scaling import GlorotUniform
from engine.layers.base import LayerSample, Net, expect_image, no_constraint
from engine.layers.conv2d import Convolution
from engine.layers.weighted import initializer, regularizer
from engine.options import Mismatch, integer, option
from engine.registry import register
from engine.regularizers.base import Regularizer


@register("layer", aliases=("DepthwiseConvolution2D",))
@dataclass(frozen=True, kw_only=True)
class DepthwiseConv2D(Convolution):
    """activation(x ⋆ kernel + bias) with `depth_multiplier` kernels for every channel.

    Input shape: (batch, height, width, channels). Output shape: (batch, new height, new width, channels * multiplier).
    """

    depth_multiplier: int = option(integer(minimum=1), default=1)
    depthwise_initializer: Initializer = option(initializer, default=GlorotUniform())
    depthwise_regularizer: Regularizer | None = option(regularizer, default=None)
    depthwise_constraint: Any = option(no_constraint, default=None)

    size_option = "depth_multiplier"
    samples = (
        LayerSample({"kernel_size": 3}, ((6, 7, 5),), (4, 5, 5), 50),
        LayerSample({"kernel_size": 3, "strides": 2, "padding": "same", "depth_multiplier": 2, "activation": "relu6"},
                    ((6, 7, 3),), (3, 4, 6), 60),
        LayerSample({"kernel_size": 3, "dilation_rate": 2, "use_bias": False}, ((7, 7, 2),), (3, 3, 2), 18),
    )

    def check(self, pointer: str) -> None:
        """As in Keras's backends, both strides are equal."""
        super().check(pointer)
        if self.strides[0] != self.strides[1]:
            raise Mismatch(f"{pointer}/strides", "equal strides for height and width", list(self.strides))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        height, width, channels = expect_image(x)
        kernel = net.weight("kernel", (*self.kernel_size, channels, self.depth_multiplier),
                            self.depthwise_initializer, regularizer=self.depthwise_regularizer)
        y = net.b.op("depthwise_conv2d", x, kernel, **self.window((height, width)))
        return self.finish(net, y, channels * self.depth_multiplier)

    def torch_state(self, variables: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        """`Conv2d` in as many groups as channels: (height, width, channels, multiplier) -> (out, 1, height, width)."""
        kernel = variables["kernel"].transpose(2, 3, 0, 1)
        rest = {name: array for name, array in variables.items() if name != "kernel"}
        return {"weight": kernel.reshape(-1, 1, *kernel.shape[2:]), **super().torch_state(rest)}
