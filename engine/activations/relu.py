"""The rectifier with Keras's three options; the layer ReLU is the same function."""

from __future__ import annotations

from dataclasses import dataclass

from engine.activations.base import Activation
from engine.graph.ir import GraphBuilder, Value
from engine.options import number, option, optional
from engine.registry import register


@register("activation", "relu")
@dataclass(frozen=True, kw_only=True)
class Relu(Activation):
    """max(x, 0); or with options: x above `threshold`, at most `max_value`, `negative_slope` times what lies below."""

    negative_slope: float = option(number(minimum=0), default=0.0)
    max_value: float | None = option(optional(number(minimum=0)), default=None)
    threshold: float = option(number(minimum=0), default=0.0)

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return rectify(b, x, self.negative_slope, self.max_value, self.threshold)


def rectify(b: GraphBuilder, x: Value, negative_slope: float, max_value: float | None, threshold: float) -> Value:
    """max_value above it; x from the threshold to max_value; negative_slope * (x - threshold) below, as Keras 3."""
    if negative_slope and max_value is None and not threshold:
        return b.op("leaky_relu", x, negative_slope=negative_slope)
    if threshold:
        positive = b.op("multiply", x, b.op("greater", x, b.constant(threshold)))
    elif max_value == 6:
        positive, max_value = b.op("relu6", x), None
    else:
        positive = b.op("relu", x)
    if max_value is not None:
        positive = b.op("clip", positive, low=0.0, high=max_value)
    if not negative_slope:
        return positive
    below = b.op("relu", b.op("scale", x, factor=-1.0, offset=threshold))
    return b.op("subtract", positive, b.op("scale", below, factor=negative_slope))
