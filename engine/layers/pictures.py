"""What layers that change pictures at random share: options, an example's draws, and which pictures they take.

They act in training only. An example's numbers follow from the job's seed, the step, the layer's stream and its place
in the batch, so that a resumed job goes on with those it would have had.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np

from engine.graph.ir import GraphBuilder, Value
from engine.layers.base import Net, text
from engine.layers.randomness import stream
from engine.ops.base import ShapeMismatch
from engine.options import Mismatch, Reader, collect, number
from engine.types import Shape

Range = tuple[float, float]
_any = number()
COLOURS = 3
LUMA = (0.2989, 0.587, 0.114)
"""Shares of red, green and blue in grey (ITU-R BT.601), as TensorFlow rounds them."""


def factor(low: float = -1.0, high: float = 1.0) -> Reader:
    """A number f for [-f, f] within the bounds, or [lower, upper]; always read as a pair."""
    bound = number(minimum=low, maximum=high)

    def read(value: Any, pointer: str) -> Range:
        if isinstance(value, (list, tuple)):
            if len(value) != 2:
                raise Mismatch(pointer, "a number or a list of two", value)
            lower, upper = sorted(collect(bound, value, pointer))
            return lower, upper
        found = abs(bound(value, pointer))
        return max(-found, float(low)), found

    return Reader(read, {"anyOf": [dict(bound.schema), {"type": "array", "items": dict(bound.schema), "minItems": 2,
                                                        "maxItems": 2}]})


def _range(value: Any, pointer: str) -> Range:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise Mismatch(pointer, "a list of two numbers", value)
    lower, upper = sorted(collect(_any, value, pointer))
    return lower, upper


value_range = Reader(_range, {"type": "array", "items": dict(_any.schema), "minItems": 2, "maxItems": 2})
"""The lowest and the highest value of a picture's numbers."""


def expect_pictures(x: Value, channels: int | None = None) -> None:
    """Raise ShapeMismatch unless x is (batch, height, width, channels), with that many channels if given."""
    if x.type.rank != 4 or (channels is not None and x.shape[3] != channels):
        raise ShapeMismatch(f"(batch, height, width, {channels or 'channels'})", text(x.shape))


def expect_no_weights_before(net: Net, x: Value) -> None:
    """Raise ShapeMismatch if x depends on a trainable weight: a gradient would have to pass, and there is none."""
    trainable = {variable.name for variable in net.variables if variable.trainable}
    seen, waiting = {x}, [x]
    made = {output: node for node in net.b.nodes for output in node.outputs}
    while waiting:
        value = waiting.pop()
        if value.role == "parameter" and value.name in trainable:
            raise ShapeMismatch("pictures that no layer with weights has made, as no gradient passes here",
                                f"what depends on {value.name}")
        for read in made[value].inputs if value in made else ():
            if read not in seen:
                seen.add(read)
                waiting.append(read)


def each(x: Value) -> Shape:
    """The shape of one number for each example of (batch, height, width, channels)."""
    return (x.shape[0], 1, 1, 1)


class Draws:
    """A layer's random numbers, one stream after the other; asked for whether the layer is in training or not."""

    def __init__(self, net: Net, seed: int | None, count: int) -> None:
        self._b = net.b
        self._streams = iter([stream(net, seed) for _ in range(count)])

    def part(self, count: int) -> Callable[[], Draws]:
        """The next `count` streams as draws of their own, which each call begins anew."""
        taken = [next(self._streams) for _ in range(count)]

        def begun() -> Draws:
            draws = copy(self)
            draws._streams = iter(taken)
            return draws

        return begun

    def uniform(self, x: Value, low: float, high: float, shape: Shape | None = None) -> Value:
        """Even numbers of a shape; by default one for each example of x."""
        return self._b.op("random_uniform", x, shape=shape or each(x), low=low, high=high, stream=next(self._streams))

    def shared(self, x: Value, low: float, high: float) -> Value:
        """A number for all examples of x together, (1, 1, 1, 1)."""
        return self.uniform(x, low, high, (1, 1, 1, 1))

    def chosen(self, x: Value, probability: Range) -> Value:
        """Above 0 for examples that are taken, each with a probability that is drawn between these bounds."""
        return self._b.op("greater", self.uniform(x, *probability), self.uniform(x, 0, 1))

    def normal(self, x: Value, deviation: float, shape: Shape | None = None) -> Value:
        """Numbers around 0 of a shape; by default one for each element of x."""
        return self._b.op("random_normal", x, shape=shape or x.shape, mean=0.0, stddev=deviation,
                          stream=next(self._streams))


def covered(b: GraphBuilder, x: Value, axis: int, part: Value, place: Value) -> Value:
    """1 at the positions of a dimension that a stretch covers: `part` of its size, beginning at `place` of the rest."""
    size = x.shape[axis]
    assert isinstance(size, int)
    length = b.op("scale", part, factor=float(size))
    start = b.op("multiply", place, b.op("scale", length, factor=-1.0, offset=float(size)))
    places = b.constant(np.arange(size).reshape([size if dim == axis else 1 for dim in range(4)]))
    reached = b.op("greater_equal", places, start)
    return b.op("multiply", reached, b.op("greater", b.op("add", start, length), places))


def grey(b: GraphBuilder, x: Value) -> Value:
    """(batch, height, width, 1) of a picture in red, green and blue."""
    return b.op("reduce_sum", b.op("multiply", x, b.constant(LUMA)), axes=(3,), keepdims=True)


def mixed(b: GraphBuilder, x: Value, other: Value, share: Value) -> Value:
    """x + share (other - x)"""
    return b.op("add", x, b.op("multiply", share, b.op("subtract", other, x)))
