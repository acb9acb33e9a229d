"""Activations as layers of their own."""

from __future__ import annotations

from dataclasses import dataclass

from engine.activations.base import Activation as Function
from engine.activations.relu import rectify
from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net, OptionMismatch, text
from engine.ops.base import ShapeMismatch
from engine.options import entry, integer, number, option, optional
from engine.registry import register


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Activation(Layer):
    """An activation function.

    Input shape: any. Output shape: the input's.
    """

    activation: Function = option(entry("activation"))

    samples = (LayerSample({"activation": "tanh"}, ((5,),), (5,)),
               LayerSample({"activation": {"type": "leaky_relu", "negative_slope": 0.1}}, ((2, 3, 4),), (2, 3, 4)))

    def build(self, net: Net, *inputs: Value) -> Value:
        return net.activate(inputs[0], self.activation)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class ReLU(Layer):
    """max(x, 0); or x above `threshold`, at most `max_value`, `negative_slope` times what lies below.

    Input shape: any. Output shape: the input's.
    """

    max_value: float | None = option(optional(number(minimum=0)), default=None)
    negative_slope: float = option(number(minimum=0), default=0.0)
    threshold: float = option(number(minimum=0), default=0.0)

    samples = (LayerSample({}, ((5,),), (5,)), LayerSample({"max_value": 6}, ((2, 3),), (2, 3)),
               LayerSample({"max_value": 1, "negative_slope": 0.1, "threshold": 0.2}, ((4,),), (4,)))

    def build(self, net: Net, *inputs: Value) -> Value:
        return rectify(net.b, inputs[0], self.negative_slope, self.max_value, self.threshold)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Softmax(Layer):
    """exp(x) / sum(exp(x)) over the last dimension.

    Input shape: (batch, …, classes). Output shape: the input's.
    """

    axis: int = option(integer(minimum=-8), default=-1)

    samples = (LayerSample({}, ((5,),), (5,)), LayerSample({"axis": 2}, ((3, 4),), (3, 4)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        if x.type.rank < 2:
            raise ShapeMismatch("rank 2 or more (batch, …, classes)", text(x.shape))
        if self.axis not in (-1, x.type.rank - 1):
            raise OptionMismatch("axis", "-1, the last dimension", self.axis)
        return net.b.op("softmax", x)
