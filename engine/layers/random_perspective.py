"""Pictures seen askew at random in training."""

from __future__ import annotations

from dataclasses import dataclass

from engine.graph.ir import GraphBuilder, Value
from engine.layers.base import LayerSample
from engine.layers.pictures import Draws, Range, factor
from engine.layers.random_warp import Moving, combined, pixels
from engine.ops.base import ShapeMismatch
from engine.options import number, option
from engine.registry import register


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandomPerspective(Moving):
    """In training, moves the corners of each picture but the first by a part of their distance, at most half `scale`.

    With a probability between the bounds of `factor`; outside of the picture is `fill_value`.
    Input shape: (batch, height, width, channels), height and width at least 2. Output shape: the input's.
    """

    factor: Range = option(factor(0), default=(0.0, 1.0))
    scale: float = option(number(minimum=0, maximum=1), default=1.0)

    draws = 6
    samples = (LayerSample({}, ((4, 5, 2),), (4, 5, 2)),
               LayerSample({"factor": [1, 1], "scale": 0.3, "interpolation": "nearest"}, ((4, 3, 1),), (4, 3, 1)))

    def move(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        _, height, width, _ = x.shape
        if min(height, width) < 2:
            raise ShapeMismatch("pictures of 2 x 2 pixels or more", f"{height} x {width}")
        taken, half = draws.chosen(x, self.factor), self.scale / 2
        right, below, corner_x, corner_y = (draws.uniform(x, 1 - half, 1 + half) for _ in range(4))
        # (u, v) of the unit square is seen at (a u, e v) / (g u + h v + 1), with corners at (right, 0), (0, below) and
        # (corner_x, corner_y) in parts of the picture. Solved for u and v, that again is two products and a depth.
        shares = [b.op("divide", corner_x, right), b.op("divide", corner_y, below)]
        far = b.op("divide", b.constant(1.0), b.op("scale", b.op("add", *shares), offset=-1.0))
        (a, g), (e, h) = (_side(b, side, b.op("multiply", share, far))
                          for side, share in zip((right, below), shares, strict=True))
        place = pixels(b, x)
        depth = combined(b, place, b.op("scale", g, factor=1 / (width - 1)), b.op("scale", h, factor=1 / (height - 1)),
                         b.constant(1.0))
        across, down = (b.op("divide", b.op("multiply", own, at), depth)
                        for own, at in zip((a, e), place, strict=True))
        moved = b.op("sample_pictures", x, down, across, fill_mode="constant", interpolation=self.interpolation,
                     fill_value=self.fill_value)
        return b.op("where", taken, moved, x)


def _side(b: GraphBuilder, side: Value, ahead: Value) -> tuple[Value, Value]:
    """1 / a and -g / a, where a = side (g + 1) and g + 1 is `ahead`."""
    one = b.op("divide", b.constant(1.0), b.op("multiply", side, ahead))
    return one, b.op("multiply", b.op("scale", ahead, factor=-1.0, offset=1.0), one)
