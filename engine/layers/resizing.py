"""Images brought to a size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.graph.ir import GraphBuilder, Value
from engine.layers.base import Layer, LayerSample, Net, channels_last
from engine.layers.interpolation import METHODS, interpolate
from engine.layers.window import expect_spatial
from engine.options import Mismatch, boolean, choice, integer, number, only, option
from engine.registry import register

extent = integer(minimum=1, maximum=65_536)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Resizing(Layer):
    """Images made `height` rows by `width` columns, as Keras 3 with TensorFlow on a CPU.

    `crop_to_aspect_ratio` first cuts the largest middle part of the new proportions, `pad_to_aspect_ratio` first adds
    borders of `fill_value`. With `antialias`, a smaller image averages all pixels that it leaves out.
    Input shape: (batch, old height, old width, channels). Output shape: (batch, height, width, channels).
    """

    height: int = option(extent)
    width: int = option(extent)
    interpolation: str = option(choice(*METHODS), default="bilinear")
    crop_to_aspect_ratio: bool = option(boolean, default=False)
    pad_to_aspect_ratio: bool = option(boolean, default=False)
    fill_mode: str = option(only("constant", "Keras has no other for resizing"), default="constant")
    fill_value: float = option(number(), default=0.0)
    antialias: bool = option(boolean, default=False)
    data_format: str = option(channels_last, default="channels_last")

    size_option = "height"
    samples = (LayerSample({"height": 3, "width": 7}, ((5, 4, 2),), (3, 7, 2)),
               LayerSample({"height": 4, "width": 4, "interpolation": "area", "crop_to_aspect_ratio": True},
                           ((6, 9, 1),), (4, 4, 1)),
               LayerSample({"height": 4, "width": 5, "interpolation": "bicubic", "pad_to_aspect_ratio": True,
                            "fill_value": 0.5}, ((6, 3, 3),), (4, 5, 3)),
               LayerSample({"height": 2, "width": 3, "interpolation": "lanczos3", "antialias": True}, ((7, 5, 2),),
                           (2, 3, 2)))

    def check(self, pointer: str) -> None:
        """One way to keep the proportions."""
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise Mismatch(f"{pointer}/pad_to_aspect_ratio", "false beside crop_to_aspect_ratio", True)

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        expect_spatial(x, 2)
        if self.crop_to_aspect_ratio:
            x = in_proportion(net.b, x, self.height, self.width)
        elif self.pad_to_aspect_ratio:
            x = self._padded(net.b, x)
        return resized(net.b, x, self.height, self.width, self.interpolation, antialias=self.antialias)

    def _padded(self, b: GraphBuilder, x: Value) -> Value:
        """As much on either side, so one pixel less than the proportions ask for where that is odd."""
        height, width = _sizes(x)
        sides = [(max(height, _share(width, self.height, self.width)) - height) // 2,
                 (max(width, _share(height, self.width, self.height)) - width) // 2]
        if not any(sides):
            return x
        return b.op("pad", x, padding=((0, 0), *((side, side) for side in sides), (0, 0)), value=self.fill_value)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class CenterCrop(Layer):
    """The middle of an image; one that is too small in either dimension is resized, keeping its proportions.

    Input shape: (batch, old height, old width, channels). Output shape: (batch, height, width, channels).
    """

    height: int = option(extent)
    width: int = option(extent)
    data_format: str = option(channels_last, default="channels_last")

    size_option = "height"
    samples = (LayerSample({"height": 3, "width": 2}, ((6, 5, 2),), (3, 2, 2)),
               LayerSample({"height": 5, "width": 3}, ((4, 6, 1),), (5, 3, 1)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        expect_spatial(x, 2)
        return middle(net.b, x, self.height, self.width)


def middle(b: GraphBuilder, x: Value, height: int, width: int) -> Value:
    """CenterCrop of an image, which RandomCrop is outside of training."""
    rows, columns = _sizes(x)
    if rows >= height and columns >= width:
        return _window(b, x, (rows - height) // 2, (columns - width) // 2, height, width)
    return resized(b, in_proportion(b, x, height, width), height, width, "bilinear")


def resized(b: GraphBuilder, x: Value, height: int, width: int, method: str, *, antialias: bool = False) -> Value:
    """One dimension after the other."""
    for axis, count in ((1, height), (2, width)):
        x = interpolate(b, x, axis, count, method, antialias=antialias)
    return x


def in_proportion(b: GraphBuilder, x: Value, height: int, width: int) -> Value:
    """The largest part in the middle whose proportions are those of height and width."""
    rows, columns = _sizes(x)
    kept_rows = max(1, min(rows, _share(columns, height, width)))
    kept_columns = max(1, min(columns, _share(rows, width, height)))
    return _window(b, x, (rows - kept_rows) // 2, (columns - kept_columns) // 2, kept_rows, kept_columns)


def _share(length: int, numerator: int, denominator: int) -> int:
    """length * numerator / denominator in float32, cut off: as TensorFlow computes it."""
    return int(np.float32(length * numerator) / np.float32(denominator))


def _sizes(x: Value) -> tuple[int, int]:
    _, height, width, _ = x.shape
    assert isinstance(height, int) and isinstance(width, int)
    return height, width


def _window(b: GraphBuilder, x: Value, top: int, left: int, height: int, width: int) -> Value:
    for axis, start, count in ((1, top, height), (2, left, width)):
        if x.shape[axis] != count:
            x = b.op("slice", x, axis=axis, start=start, stop=start + count)
    return x
