"""Layers that make one value of several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar

from engine.graph.ir import GraphBuilder, Value
from engine.layers.base import Layer, LayerSample, Net, OptionMismatch, text
from engine.layers.unit_normalization import unit
from engine.ops.base import ShapeMismatch
from engine.options import boolean, either, integer, option, sequence
from engine.registry import register


@dataclass(frozen=True, kw_only=True)
class Merge(Layer):
    """An elementwise op over all inputs, from left to right.

    Shapes broadcast; an input of lower rank gets dimensions of 1 behind the batch, as in Keras 3.
    """

    arity: ClassVar[tuple[int, int | None]] = (2, None)
    supports_masking = True
    merging: ClassVar[str]

    samples: ClassVar[tuple[LayerSample, ...]] = (
        LayerSample({}, ((3, 4), (3, 4)), (3, 4)), LayerSample({}, ((5,), (5,), (5,)), (5,)),
        LayerSample({}, ((3, 4, 2), (1, 1, 2)), (3, 4, 2)), LayerSample({}, ((3, 4, 2), (2,)), (3, 4, 2)))

    def build(self, net: Net, *inputs: Value) -> Value:
        rank = max(value.type.rank for value in inputs)
        total, *others = (self._widen(net, value, rank) for value in inputs)
        for other in others:
            total = net.b.op(self.merging, total, other)
        return total

    def compute_mask(self, net: Net, *inputs: Value) -> Value | None:
        """What counts in any input counts in the output; without a mask of each input there is none."""
        masks = [net.mask(value) for value in inputs]
        found = [mask for mask in masks if mask is not None]
        if len(found) < len(masks):
            return None
        return reduce(lambda one, other: net.b.op("maximum", one, other), found)

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
class Subtract(Merge):
    """The first input less the second.

    Input shapes: (batch, …), equal or broadcasting. Output shape: the common one.
    """

    arity = (2, 2)
    merging = "subtract"

    samples = tuple(sample for sample in Merge.samples if len(sample.inputs) == 2)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Multiply(Merge):
    """The product of the inputs, element by element.

    Input shapes: (batch, …), equal or broadcasting. Output shape: the common one.
    """

    merging = "multiply"


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Average(Merge):
    """The mean of the inputs, element by element.

    Input shapes: (batch, …), equal or broadcasting. Output shape: the common one.
    """

    merging = "add"

    def build(self, net: Net, *inputs: Value) -> Value:
        return net.b.op("scale", super().build(net, *inputs), factor=1 / len(inputs))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Maximum(Merge):
    """The largest of the inputs, element by element.

    Input shapes: (batch, …), equal or broadcasting. Output shape: the common one.
    """

    merging = "maximum"


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Minimum(Merge):
    """The smallest of the inputs, element by element.

    Input shapes: (batch, …), equal or broadcasting. Output shape: the common one.
    """

    merging = "minimum"


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Concatenate(Layer):
    """The inputs one behind the other along `axis`.

    Input shapes: (batch, …), equal but for `axis`. Output shape: theirs, with the sum of sizes at `axis`.
    """

    arity = (1, None)

    axis: int = option(integer(minimum=-8), default=-1)

    supports_masking = True
    samples = (LayerSample({}, ((3, 4), (3, 2)), (3, 6)), LayerSample({"axis": 1}, ((2, 4), (1, 4), (3, 4)), (6, 4)),
               LayerSample({"axis": -3}, ((2, 4, 3), (1, 4, 3)), (3, 4, 3)))

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

    def compute_mask(self, net: Net, *inputs: Value) -> Value | None:
        """As Keras: all masks in the inputs' shapes, one behind the other, and what counts anywhere along the last."""
        if all(net.mask(value) is None for value in inputs):
            return None
        b, rank = net.b, inputs[0].type.rank
        whole = []
        for value in inputs:
            mask = net.mask(value) or b.constant(1.0)
            lacking = tuple(range(mask.type.rank, rank))
            whole.append(b.op("broadcast", mask, shape=value.shape, axes=lacking) if lacking else mask)
        return b.op("reduce_max", b.op("concatenate", *whole, axis=self.axis % rank), axes=(rank - 1,))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Dot(Layer):
    """The products of two inputs summed along a dimension of each, `axes`; with `normalize`, of unit vectors.

    Input shapes: (batch, …) twice, of equal sizes at `axes`.
    Output shape: the first one's without its axis, then the second one's without batch and axis; at least one.
    """

    arity = (2, 2)

    axes: int | tuple[int, ...] = option(either(sequence(integer(minimum=-8, maximum=7), 2, 2),
                                                integer(minimum=-8, maximum=7)))
    normalize: bool = option(boolean, default=False)

    supports_masking = True
    samples = (LayerSample({"axes": 1}, ((5,), (5,)), (1,)), LayerSample({"axes": [1, 2]}, ((3, 5), (10, 3)), (5, 10)),
               LayerSample({"axes": -1, "normalize": True}, ((4, 5), (3, 5)), (4, 3)),
               LayerSample({"axes": [2, 1]}, ((2, 3, 4), (3, 2)), (2, 4, 2)),
               LayerSample({"axes": [1, 2]}, ((3,), (4, 3)), (4,)))

    def build(self, net: Net, *inputs: Value) -> Value:
        written = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        axes = [self._axis(value, axis) for value, axis in zip(inputs, written, strict=True)]
        sizes = [value.shape[axis] for value, axis in zip(inputs, axes, strict=True)]
        if sizes[0] != sizes[1]:
            raise OptionMismatch("axes", "dimensions of equal sizes", " and ".join(map(str, sizes)))
        b = net.b
        if self.normalize:
            inputs = tuple(unit(b, value, (axis,)) for value, axis in zip(inputs, axes, strict=True))
        (left, kept), (right, others) = (_rows(b, value, axis) for value, axis in zip(inputs, axes, strict=True))
        y = b.op("batch_matmul", left, right, transpose_b=True)
        return b.op("reshape", y, shape=(y.shape[0], *((*kept, *others) or (1,))))

    def compute_mask(self, net: Net, *inputs: Value) -> None:
        """None, as Keras."""

    def _axis(self, value: Value, axis: int) -> int:
        rank = value.type.rank
        if not -rank <= axis < rank or axis % rank == 0:
            raise OptionMismatch("axes", f"a dimension of {text(value.shape)} other than the batch", self.axes)
        return axis % rank


def _rows(b: GraphBuilder, x: Value, axis: int) -> tuple[Value, Sequence[Any]]:
    """x as (batch, rows, size of axis), and the sizes that the rows stand for."""
    others = [other for other in range(1, x.type.rank) if other != axis]
    if axis != x.type.rank - 1:
        x = b.op("transpose", x, permutation=(0, *others, axis))
    kept = x.shape[1:-1]
    return b.op("reshape", x, shape=(x.shape[0], math.prod(kept), x.shape[-1])), kept
