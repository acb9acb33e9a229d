"""Parts of pictures erased at random in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.graph.ir import GraphBuilder, Value
from engine.layers.base import LayerSample, OptionMismatch
from engine.layers.pictures import Draws, Range, covered, factor
from engine.layers.random_color import Within
from engine.options import Mismatch, Reader, collect, number, option, optional
from engine.registry import register

_number = number()
part = factor(0)


def _fill(value: Any, pointer: str) -> Any:
    """A number, or one for each of three channels."""
    if isinstance(value, (list, tuple)):
        if len(value) != 3:
            raise Mismatch(pointer, "a number or a list of three", value)
        return collect(_number, value, pointer)
    return _number(value, pointer)


_three = {"type": "array", "items": dict(_number.schema), "minItems": 3, "maxItems": 3}
filling = Reader(_fill, {"anyOf": [dict(_number.schema), _three]})


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandomErasing(Within):
    """In training, fills a rectangle of each picture, with a probability between the bounds of `factor`.

    Its height and width are the square root of a part between the bounds of `scale` (Zhong et al., 2020). Without
    `fill_value` it is filled with normal numbers times the highest value.
    Input shape: (batch, height, width, channels). Output shape: the input's.
    """

    factor: Range = option(part, default=(0.0, 1.0))
    scale: Range = option(part, default=(0.02, 0.33), doc="[lower, upper], parts of the picture's area")
    fill_value: Any = option(optional(filling), default=None, doc="a number, or one for each of three channels")

    draws = 7
    samples = (LayerSample({}, ((4, 5, 2),), (4, 5, 2)),
               LayerSample({"factor": [1, 1], "fill_value": [1, 0, 2], "scale": [0.5, 0.5]}, ((4, 5, 3),), (4, 5, 3)))

    def change(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        fill = self._fill(b, x, draws)
        inside = b.op("multiply", *(
            covered(b, x, axis, b.op("sqrt", draws.uniform(x, *self.scale)), draws.uniform(x, 0, 1))
            for axis in (1, 2)))
        erased = draws.chosen(x, self.factor)
        return b.op("where", b.op("multiply", inside, erased), fill, x)

    def _fill(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        if self.fill_value is None:
            return self.clipped(b, draws.normal(x, abs(self.value_range[1])))
        if isinstance(self.fill_value, tuple) and x.shape[3] != len(self.fill_value):
            raise OptionMismatch("fill_value", f"a number for {x.shape[3]} channels", list(self.fill_value))
        return b.constant(np.clip(self.fill_value, *self.value_range))
