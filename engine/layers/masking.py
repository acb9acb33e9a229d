"""Padding marked by a value."""

from __future__ import annotations

from dataclasses import dataclass

from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net, text
from engine.ops.base import ShapeMismatch
from engine.options import number, option
from engine.registry import register


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Masking(Layer):
    """Steps all of whose values are `mask_value` are padding: they become 0, and layers that heed masks leave them out.

    Input shape: (batch, …, features). Output shape: the input's.
    """

    mask_value: float = option(number(), default=0.0)

    supports_masking = True
    samples = (LayerSample({}, ((4, 3),), (4, 3)), LayerSample({"mask_value": -1}, ((2, 4, 3),), (2, 4, 3)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        if x.type.rank < 2:
            raise ShapeMismatch("rank 2 or more (batch, …, features)", text(x.shape))
        return net.b.op("where", self._counts(net, x, keepdims=True), x, net.b.constant(0.0))

    def compute_mask(self, net: Net, *inputs: Value) -> Value:
        """1 where any value of a step is another."""
        return self._counts(net, inputs[0], keepdims=False)

    def _counts(self, net: Net, x: Value, *, keepdims: bool) -> Value:
        equal = net.b.op("equal", x, net.b.constant(self.mask_value))
        other = net.b.op("scale", equal, factor=-1.0, offset=1.0)
        return net.b.op("reduce_max", other, axes=(x.type.rank - 1,), keepdims=keepdims)
