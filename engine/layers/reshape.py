"""Another shape for the same elements."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net, OptionMismatch
from engine.options import Mismatch, Reader, integer, option, sequence
from engine.registry import register
from engine.types import Batch

_dimensions = sequence(integer(minimum=-1), maximum=7)


def _target(value: Any, pointer: str) -> tuple[int, ...]:
    shape: tuple[int, ...] = _dimensions(value, pointer)
    if 0 in shape:
        raise Mismatch(f"{pointer}/{shape.index(0)}", "a positive integer or -1", 0)
    if shape.count(-1) > 1:
        raise Mismatch(pointer, "at most one -1", list(shape))
    return shape


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Reshape(Layer):
    """The elements of each example, in order, under `target_shape`; one -1 stands for what remains.

    Input shape: (batch, …). Output shape: (batch, *target_shape).
    """

    target_shape: tuple[int, ...] = option(Reader(_target, _dimensions.schema))

    size_option = "target_shape"
    samples = (LayerSample({"target_shape": [4, 3]}, ((2, 6),), (4, 3)),
               LayerSample({"target_shape": [-1, 2, 2]}, ((12,),), (3, 2, 2)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        elements = math.prod(x.shape[1:])
        known = math.prod(dim for dim in self.target_shape if dim != -1)
        fits = elements % known == 0 if -1 in self.target_shape else elements == known
        if not fits:
            raise OptionMismatch("target_shape", f"a shape of {elements} elements", list(self.target_shape))
        shape = tuple(elements // known if dim == -1 else dim for dim in self.target_shape)
        return net.b.op("reshape", x, shape=(Batch(), *shape))
