"""MobileNets: depthwise separable convolutions."""

from __future__ import annotations

from dataclasses import dataclass

from engine.options import number, option
from engine.registry import register
from engine.templates.base import Classifier, Sketch, rate

width = number(above=0, maximum=4)
V1_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
"""Filters and strides (Howard et al., 2017, table 1)."""
V2_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, filters, blocks and strides (Sandler et al., CVPR 2018, table 2)."""


def rounded(filters: float) -> int:
    """A multiple of 8 near it, never below nine tenths of it."""
    found = max(8, int(filters + 4) // 8 * 8)
    return found + 8 if found < 0.9 * filters else found


@register("template", "mobilenet_v1")
@dataclass(frozen=True, kw_only=True)
class MobileNetV1(Classifier):
    """MobileNet (Howard et al., 2017); `width` multiplies all filters."""

    width: float = option(width, default=1.0)
    dropout: float = option(rate, default=1e-3)

    sample = (("image", (64, 64, 3)),)

    def write(self, sketch: Sketch) -> None:
        sketch.convolution("stem", rounded(32 * self.width), 3, strides=2, activation="relu6")
        for place, (filters, strides) in enumerate(V1_BLOCKS):
            sketch.depthwise(f"block{place}_depthwise", strides)
            sketch.convolution(f"block{place}_pointwise", rounded(filters * self.width), 1, activation="relu6")
        sketch.add("GlobalAveragePooling2D", "pool")
        sketch.add("Dropout", "dropout", rate=self.dropout)
        self.head(sketch)


@register("template", "mobilenet_v2")
@dataclass(frozen=True, kw_only=True)
class MobileNetV2(Classifier):
    """MobileNetV2 (Sandler et al., CVPR 2018): inverted residuals; `width` multiplies all filters."""

    width: float = option(width, default=1.0)
    dropout: float = option(rate, default=0.2)

    sample = (("image", (64, 64, 3)),)

    def write(self, sketch: Sketch) -> None:
        channels = rounded(32 * self.width)
        last = sketch.convolution("stem", channels, 3, strides=2, activation="relu6")
        place = 0
        for expansion, filters, blocks, first in V2_STAGES:
            out = rounded(filters * self.width)
            for block in range(blocks):
                strides, name, source = first if not block else 1, f"block{place}", last
                if expansion > 1:
                    sketch.convolution(f"{name}_expand", channels * expansion, 1, activation="relu6")
                sketch.depthwise(f"{name}_depthwise", strides)
                last = sketch.convolution(f"{name}_project", out, 1, activation=None)
                if strides == 1 and channels == out:
                    last = sketch.add("Add", f"{name}_add", [source, last])
                channels, place = out, place + 1
        sketch.convolution("last", rounded(1280 * max(1.0, self.width)), 1, activation="relu6")
        sketch.add("GlobalAveragePooling2D", "pool")
        sketch.add("Dropout", "dropout", rate=self.dropout)
        self.head(sketch)
