"""Layers that make one value of several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net, OptionMismatch, text
from engine.ops.base import ShapeMismatch
from engine.options import integer, option
from engine.registry import register


@dataclass(frozen=True, kw_only=True)
class Merge(Layer):
    """An elementwise op over all inputs, from left to right.

    Shapes broadcast; an input of lower rank gets dimensions of 1 behind the batch, as in Keras 3.
    """

    arity = (2, None)
    merging: ClassVar[str]

    samples = (LayerSample({}, ((3, 4), (3, 4)), (3, 4)), LayerSample({}, ((5,), (5,), (5,)), (5,)),
               LayerSample({}, ((3, 4, 2), (1, 1, 2)), (3, 4, 2)), LayerSample({}, ((3, 4, 2), (2,)), (3, 4, 2)))

    def build(self, net: Net, *inputs: Value) -> Value:
        rank = max(value.type.rank for value in inputs)
        total, *others = (self._widen(net, value, rank) for value in inputs)
        for other in others:
            total = net.b.op(self.merging, total, other)
        return total

    @staticmethod
    def _widen(net: Net, value: Value, rank: int) -> Value:
        missing = rank - value.type.rank
        if not missing:
            return value
        return net.b.op("reshape", value, shape=(value.shape[0], *(1,) * missing, *value.shape[1:]))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Add(Merge):
    """The sum of the inputs.

    Input shapes: (batch, …), equal or broadcasting. Output shape: the common one.
    """

    merging = "add"


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Multiply(Merge):
    """The product of the inputs, element by element.

    Input shapes: (batch, …), equal or broadcasting. Output shape: the common one.
    """

    merging = "multiply"


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Concatenate(Layer):
    """The inputs one behind the other along `axis`.

    Input shapes: (batch, …), equal but for `axis`. Output shape: theirs, with the sum of sizes at `axis`.
    """

    arity = (2, None)

    axis: int = option(integer(minimum=-8), default=-1)

    samples = (LayerSample({}, ((3, 4), (3, 2)), (3, 6)), LayerSample({"axis": 1}, ((2, 4), (1, 4), (3, 4)), (6, 4)))

    def build(self, net: Net, *inputs: Value) -> Value:
        rank = inputs[0].type.rank
        axis = self.axis % rank if -rank <= self.axis < rank else 0
        if axis == 0:
            raise OptionMismatch("axis", f"a dimension of {text(inputs[0].shape)} other than the batch", self.axis)
        shapes = {(*value.shape[:axis], *value.shape[axis + 1:]) for value in inputs}
        if len(shapes) > 1 or any(value.type.rank != rank for value in inputs):
            received = " and ".join(text(value.shape) for value in inputs)
            raise ShapeMismatch(f"shapes that are equal but for dimension {axis}", received)
        return net.b.op("concatenate", *inputs, axis=axis)
