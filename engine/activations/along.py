"""Activations over the values along one dimension."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.activations.base import Activation
from engine.graph.ir import GraphBuilder, Value
from engine.ops.base import ShapeMismatch
from engine.options import integer, option
from engine.registry import register

axis_option = integer(minimum=-8, maximum=7)


def place(x: Value, axis: int) -> int:
    """The dimension that `axis` counts from either end. Raises ShapeMismatch for the batch and beyond."""
    rank = x.type.rank
    if not -rank <= axis < rank or axis % rank == 0:
        raise ShapeMismatch(f"a dimension {axis} other than the batch", x.type)
    return axis % rank


def rows(b: GraphBuilder, op: str, x: Value, axes: Sequence[int]) -> Value:
    """An op over the last dimension, applied to the values of these dimensions together."""
    chosen = [place(x, axis) for axis in axes]
    kept = [axis for axis in range(x.type.rank) if axis not in chosen]
    order = (*kept, *chosen)
    turned = x if order == tuple(range(x.type.rank)) else b.op("transpose", x, permutation=order)
    shape = turned.shape
    if len(chosen) > 1:
        count = 1
        for axis in chosen:
            count *= x.shape[axis]
        turned = b.op("reshape", turned, shape=(*shape[:len(kept)], count))
    y = b.op("reshape", b.op(op, turned), shape=shape) if len(chosen) > 1 else b.op(op, turned)
    if order == tuple(range(x.type.rank)):
        return y
    return b.op("transpose", y, permutation=tuple(order.index(axis) for axis in range(x.type.rank)))


@register("activation", "softmax")
@dataclass(frozen=True, kw_only=True)
class Softmax(Activation):
    """exp(x) / sum(exp(x)) along `axis`."""

    dimensional = True
    axis: int = option(axis_option, default=-1)

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return rows(b, "softmax", x, (self.axis,))


@register("activation", "log_softmax")
@dataclass(frozen=True, kw_only=True)
class LogSoftmax(Activation):
    """x - log(sum(exp(x))) along `axis`."""

    dimensional = True
    axis: int = option(axis_option, default=-1)

    def build(self, b: GraphBuilder, x: Value) -> Value:
        axes = (place(x, self.axis),)
        # The largest value only keeps exp from overflowing: its derivative cancels.
        largest = b.op("stop_gradient", b.op("reduce_max", x, axes=axes, keepdims=True))
        shifted = b.op("subtract", x, largest)
        total = b.op("reduce_sum", b.op("exp", shifted), axes=axes, keepdims=True)
        return b.op("subtract", shifted, b.op("log", total))


@register("activation", "sparsemax")
@dataclass(frozen=True, kw_only=True)
class Sparsemax(Activation):
    """The nearest point whose values along `axis` are at least 0 and have the sum 1 (Martins and Astudillo, 2016).

    Keras 3.15 gives other values where more than one is above 0: their sum is not 1 there.
    """

    dimensional = True
    axis: int = option(axis_option, default=-1)

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return rows(b, "sparsemax", x, (self.axis,))


@register("activation", "glu")
@dataclass(frozen=True, kw_only=True)
class Glu(Activation):
    """The first half along `axis` times the sigmoid of the second (Dauphin et al., ICML 2017)."""

    dimensional = True
    axis: int = option(axis_option, default=-1)

    def build(self, b: GraphBuilder, x: Value) -> Value:
        axis = place(x, self.axis)
        size = x.shape[axis]
        if size % 2:
            raise ShapeMismatch(f"an even size of dimension {axis} for glu", size)
        first = b.op("slice", x, axis=axis, start=0, stop=size // 2)
        second = b.op("slice", x, axis=axis, start=size // 2, stop=size)
        return b.op("multiply", first, b.op("sigmoid", second))
