"""Vectors of length 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.graph.ir import GraphBuilder, Value
from engine.layers.base import Layer, LayerSample, Net, OptionMismatch, text
from engine.options import either, integer, option, sequence
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

    axis: int | tuple[int, ...] = option(either(sequence(integer(minimum=-8, maximum=7), 1, 7),
                                                integer(minimum=-8, maximum=7)), default=-1)

    samples = (LayerSample({}, ((5,),), (5,)), LayerSample({"axis": [1, 2]}, ((3, 4, 2),), (3, 4, 2)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        rank = x.type.rank
        axes = {axis % rank if -rank <= axis < rank else 0
                for axis in ((self.axis,) if isinstance(self.axis, int) else self.axis)}
        if 0 in axes:
            raise OptionMismatch("axis", f"dimensions of {text(x.shape)} other than the batch", self.axis)
        return unit(net.b, x, sorted(axes))
