"""A border of zeros."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net, channels_last, expect_image
from engine.layers.window import Padding
from engine.options import Mismatch, Reader, option, spatial
from engine.registry import register

_pair = spatial(2, minimum=0)


def _border(value: Any, pointer: str) -> Padding:
    """One number, (height, width), or ((top, bottom), (left, right))."""
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        if len(value) != 2:
            raise Mismatch(pointer, "an integer, two integers, or ((top, bottom), (left, right))", value)
        return _pair(value[0], f"{pointer}/0"), _pair(value[1], f"{pointer}/1")
    both = _pair(value, pointer)
    return both, both


@register("layer")
@dataclass(frozen=True, kw_only=True)
class ZeroPadding2D(Layer):
    """Adds rows and columns of zeros around an image.

    Input shape: (batch, height, width, channels).
    Output shape: (batch, top + height + bottom, left + width + right, channels).
    """

    padding: Padding = option(Reader(_border, {"type": "padding"}), default=((1, 1), (1, 1)),
                              doc="rows and columns: one number, (height, width), or ((top, bottom), (left, right))")
    data_format: str = option(channels_last, default="channels_last")

    size_option = "padding"
    samples = (LayerSample({}, ((3, 4, 2),), (5, 6, 2)), LayerSample({"padding": [1, 0]}, ((3, 4, 2),), (5, 4, 2)),
               LayerSample({"padding": [[1, 0], [2, 3]]}, ((3, 4, 1),), (4, 9, 1)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        expect_image(x)
        return net.b.op("pad", x, padding=((0, 0), *self.padding, (0, 0)))
