"""Vectors of length 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.graph.ir import GraphBuilder, Value
from engine.layers.base import Layer, LayerSample, Net
from engine.layers.normalization import axes_reader, dimensions
from engine.options import option
from engine.registry import register

SMALLEST = 1e-24
"""Squares of lengths are taken to be at least this, as Keras's 1e-12 for lengths."""


def unit(b: GraphBuilder, x: Value, axes: Sequence[int]) -> Value:
    """x divided by its length over these dimensions; zeros stay zeros."""
    square = b.op("reduce_sum", b.op("square", x), axes=tuple(sorted(axes)), keepdims=True)
    return b.op("divide", x, b.op("sqrt", b.op("maximum", square, b.constant(SMALLEST))))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class UnitNormalization(Layer):
    """x divided by its length over `axis`, one dimension or several.

    Input shape: (batch, …). Output shape: the input's.
    """

    supports_masking = True

    axis: int | tuple[int, ...] = option(axes_reader, default=-1)

    samples = (LayerSample({}, ((5,),), (5,)), LayerSample({"axis": 1}, ((3, 4),), (3, 4)),
               LayerSample({"axis": [1, 2]}, ((3, 4, 2),), (3, 4, 2)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        return unit(net.b, x, dimensions(x, self.axis))
