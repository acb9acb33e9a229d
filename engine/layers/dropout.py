"""Dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net
from engine.options import number, only, option
from engine.registry import register


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Dropout(Layer):
    """In training, sets a share `rate` of the elements to 0 and divides the others by 1 - rate; otherwise does nothing.

    Input shape: any. Output shape: the input's.
    """

    rate: float = option(number(minimum=0, below=1))
    noise_shape: Any = option(only(None, "every element is drawn by itself"), default=None)
    seed: Any = option(only(None, "the job's seed decides"), default=None)

    samples = (LayerSample({"rate": 0.5}, ((7,),), (7,)), LayerSample({"rate": 0}, ((2, 3),), (2, 3)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        stream = net.stream()
        return net.b.op("dropout", x, rate=self.rate, stream=stream) if net.training and self.rate else x
