"""Transposed convolutions: the way back of a convolution's gradient, as a layer that enlarges."""

from __future__ import annotations

from dataclasses import dataclass

from engine.constraints.base import Constraint
from engine.graph.ir import Value
from engine.initializers.base import Initializer
from engine.initializers.variance_scaling import GlorotUniform
from engine.layers.base import LayerSample, Net, OptionMismatch, channels_last
from engine.layers.convolve import convolve_transposed
from engine.layers.weighted import Weighted, constraint, initializer, regularizer
from engine.layers.window import (
    Sizes,
    Windows,
    Windows1D,
    Windows2D,
    Windows3D,
    expect_spatial,
    padding_mode,
    window_padding,
)
from engine.options import integer, option, optional, spatial
from engine.registry import register
from engine.regularizers.base import Regularizer
from engine.windows import output_size


@dataclass(frozen=True, kw_only=True)
class TransposedConvolution(Windows, Weighted):
    """activation(x spread by kernel + bias); `output_padding` chooses among the sizes that a stride leaves open."""

    filters: int = option(integer(minimum=1))
    padding: str = option(padding_mode, default="valid")
    output_padding: Sizes | None
    data_format: str = option(channels_last, default="channels_last")
    kernel_initializer: Initializer = option(initializer, default=GlorotUniform())
    kernel_regularizer: Regularizer | None = option(regularizer, default=None)
    kernel_constraint: Constraint | None = option(constraint, default=None)

    size_option = "filters"

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        sizes, channels = expect_spatial(x, self.rank)
        kernel = net.weight("kernel", (*self.kernel_size, self.filters, channels), self.kernel_initializer,
                            regularizer=self.kernel_regularizer)
        enlarged = tuple(self._enlarged(size, place) for place, size in enumerate(sizes))
        padding = window_padding(self.padding, enlarged, self.kernel_size, self.strides, self.dilation_rate)
        for place, size in enumerate(enlarged):
            back = output_size(size, self.kernel_size[place], self.strides[place], self.dilation_rate[place],
                               padding[place])
            if size < 1 or back != sizes[place]:
                raise OptionMismatch("output_padding", "paddings that the strides leave open",
                                     list(self.output_padding or ()))
        y = convolve_transposed(net.b, x, kernel, sizes=enlarged, strides=self.strides, padding=padding,
                                dilation=self.dilation_rate)
        return self.finish(net, y, self.filters, (x.shape[0], *enlarged, self.filters))

    def _enlarged(self, size: int, place: int) -> int:
        """The size of the output along one dimension, as Keras's TensorFlow backend."""
        stride = self.strides[place]
        window = (self.kernel_size[place] - 1) * self.dilation_rate[place] + 1
        more = None if self.output_padding is None else self.output_padding[place]
        if self.padding == "same":
            return size * stride if more is None else (size - 1) * stride + window % 2 + more
        return (size - 1) * stride + window + (max(0, stride - window) if more is None else more)


@register("layer", aliases=("Convolution1DTranspose",))
@dataclass(frozen=True, kw_only=True)
class Conv1DTranspose(Windows1D, TransposedConvolution):
    """Spreads every step over a window of `kernel_size` steps, `strides` apart.

    Input shape: (batch, steps, channels). Output shape: (batch, new steps, filters).
    """

    output_padding: Sizes | None = option(optional(spatial(1, minimum=0)), default=None)

    samples = (
        LayerSample({"filters": 4, "kernel_size": 3, "strides": 2, "activation": "relu"}, ((4, 3),), (9, 4), 40),
        LayerSample({"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same"}, ((4, 3),), (8, 2), 20),
        LayerSample({"filters": 2, "kernel_size": 2, "strides": 3, "output_padding": 1}, ((4, 3),), (12, 2), 14),
    )


@register("layer", aliases=("Convolution2DTranspose",))
@dataclass(frozen=True, kw_only=True)
class Conv2DTranspose(Windows2D, TransposedConvolution):
    """Spreads every pixel over a window of `kernel_size` pixels, `strides` apart.

    Input shape: (batch, height, width, channels). Output shape: (batch, new height, new width, filters).
    """

    output_padding: Sizes | None = option(optional(spatial(2, minimum=0)), default=None)

    samples = (
        LayerSample({"filters": 4, "kernel_size": 3, "strides": 2, "activation": "relu"}, ((3, 4, 2),), (7, 9, 4), 76),
        LayerSample({"filters": 2, "kernel_size": [3, 2], "strides": [2, 1], "padding": "same", "use_bias": False},
                    ((3, 4, 3),), (6, 4, 2), 36),
        LayerSample({"filters": 1, "kernel_size": 2, "dilation_rate": 2}, ((3, 4, 3),), (5, 6, 1), 13),
    )


@register("layer", aliases=("Convolution3DTranspose",))
@dataclass(frozen=True, kw_only=True)
class Conv3DTranspose(Windows3D, TransposedConvolution):
    """Spreads every place of a volume over a window of `kernel_size` places, `strides` apart.

    Input shape: (batch, depth, height, width, channels).
    Output shape: (batch, new depth, new height, new width, filters).
    """

    output_padding: Sizes | None = option(optional(spatial(3, minimum=0)), default=None)

    samples = (
        LayerSample({"filters": 2, "kernel_size": 2, "strides": 2}, ((2, 3, 2, 3),), (4, 6, 4, 2), 50),
        LayerSample({"filters": 2, "kernel_size": 3, "padding": "same", "strides": [2, 1, 1], "activation": "relu"},
                    ((2, 3, 4, 1),), (4, 3, 4, 2), 56),
    )
