"""One dimension out of many."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net, channels_last
from engine.options import option
from engine.registry import register
from engine.types import Batch


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Flatten(Layer):
    """All dimensions of an example in one.

    Input shape: (batch, …). Output shape: (batch, product of the others).
    """

    data_format: str = option(channels_last, default="channels_last")

    samples = (LayerSample({}, ((3, 4, 2),), (24,)), LayerSample({}, ((5,),), (5,)), LayerSample({}, ((),), (1,)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        return net.b.op("reshape", x, shape=(Batch(), math.prod(x.shape[1:])))
