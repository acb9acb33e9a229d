"""Sequences, images and volumes made larger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net, channels_last
from engine.layers.interpolation import INTERPOLATIONS, interpolate
from engine.layers.window import Sizes, expect_spatial
from engine.options import Reader, choice, integer, option, spatial
from engine.registry import register

_one = integer(minimum=1, maximum=65_536)


def _steps(value: Any, pointer: str) -> Sizes:
    """An integer, as Keras writes it for one dimension."""
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and len(value) == 1:
        return (_one(value[0], f"{pointer}/0"),)
    return (_one(value, pointer),)


@dataclass(frozen=True, kw_only=True)
class UpSampling(Layer):
    """Every spatial dimension `size` times as long."""

    rank: ClassVar[int]
    size: Sizes

    size_option = "size"

    @property
    def method(self) -> str:
        """How values between the pixels are found."""
        return "nearest"

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        sizes, _ = expect_spatial(x, self.rank)
        for axis, (length, factor) in enumerate(zip(sizes, self.size, strict=True), 1):
            x = interpolate(net.b, x, axis, length * factor, self.method)
        return x


@register("layer")
@dataclass(frozen=True, kw_only=True)
class UpSampling1D(UpSampling):
    """Repeats every step `size` times.

    Input shape: (batch, steps, channels). Output shape: (batch, steps * size, channels).
    """

    rank = 1
    size: Sizes = option(Reader(_steps, _one.schema), default=(2,))

    samples = (LayerSample({}, ((3, 2),), (6, 2)), LayerSample({"size": 3}, ((4, 1),), (12, 1)))

    def keras_options(self) -> dict[str, Any]:
        return {"size": self.size[0]}


@register("layer")
@dataclass(frozen=True, kw_only=True)
class UpSampling2D(UpSampling):
    """Enlarges an image by whole factors; `interpolation` says what comes between its pixels.

    Input shape: (batch, height, width, channels). Output shape: (batch, height * size, width * size, channels).
    """

    rank = 2
    size: Sizes = option(spatial(2), default=(2, 2))
    data_format: str = option(channels_last, default="channels_last")
    interpolation: str = option(choice(*INTERPOLATIONS), default="nearest")

    samples = (LayerSample({}, ((3, 2, 2),), (6, 4, 2)),
               LayerSample({"size": [1, 3], "interpolation": "bilinear"}, ((4, 3, 1),), (4, 9, 1)),
               LayerSample({"interpolation": "bicubic"}, ((4, 5, 2),), (8, 10, 2)))

    @property
    def method(self) -> str:
        return self.interpolation


@register("layer")
@dataclass(frozen=True, kw_only=True)
class UpSampling3D(UpSampling):
    """Repeats every place of a volume `size` times in each dimension.

    Input shape: (batch, depth, height, width, channels).
    Output shape: (batch, depth * size, height * size, width * size, channels).
    """

    rank = 3
    size: Sizes = option(spatial(3), default=(2, 2, 2))
    data_format: str = option(channels_last, default="channels_last")

    samples = (LayerSample({}, ((3, 2, 1, 2),), (6, 4, 2, 2)),
               LayerSample({"size": [1, 3, 2]}, ((2, 3, 2, 1),), (2, 9, 4, 1)))
