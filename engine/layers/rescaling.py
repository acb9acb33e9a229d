"""Values moved and scaled by given numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.graph.ir import GraphBuilder, Value
from engine.initializers.constant import Ones, Zeros
from engine.layers.base import Layer, LayerSample, Net, OptionMismatch, text
from engine.ops.base import ShapeMismatch, broadcast_shapes
from engine.options import Mismatch, Reader, boolean, either, integer, number, option, optional, sequence
from engine.registry import register

_numbers = sequence(number(), 1)
EPSILON = 1e-7
"""Keras's: what a standard deviation is taken to be at least."""


def _array(value: Any, pointer: str) -> Any:
    """A number or nested lists of them, as tuples; also Keras's object around an array's values."""
    if isinstance(value, Mapping) and isinstance(value.get("config"), Mapping):
        value, pointer = value["config"].get("value"), f"{pointer}/config/value"
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], (list, tuple)):
        rows = tuple(_array(row, f"{pointer}/{place}") for place, row in enumerate(value))
        if len({np.shape(row) for row in rows}) == 1:
            return rows
    return _numbers(value, pointer) if isinstance(value, (list, tuple)) else number()(value, pointer)


array = Reader(_array, {"anyOf": [number().schema, {"type": "array", "items": dict(number().schema), "minItems": 1}]})
"""Reads a number or an array of numbers."""


def _constant(b: GraphBuilder, option_name: str, value: Any, x: Value) -> Value:
    """A constant that broadcasts against x without widening it. Raises OptionMismatch."""
    shape = np.shape(value)
    try:
        fits = broadcast_shapes(x.shape, shape) == x.shape
    except ShapeMismatch:
        fits = False
    if not fits:
        raise OptionMismatch(option_name, f"numbers that broadcast to {text(x.shape)}", f"shape {shape}")
    return b.constant(value)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Rescaling(Layer):
    """x * scale + offset; numbers, or lists that broadcast to the input.

    Input shape: any. Output shape: the input's.
    """

    scale: Any = option(array)
    offset: Any = option(array, default=0.0)

    supports_masking = True
    samples = (LayerSample({"scale": 0.5}, ((5,),), (5,)), LayerSample({"scale": 2, "offset": -1}, ((2, 3),), (2, 3)),
               LayerSample({"scale": [1, 2, 3], "offset": [0.5, 0, 1]}, ((2, 3),), (2, 3)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        if isinstance(self.scale, float) and isinstance(self.offset, float):
            return net.b.op("scale", x, factor=self.scale, offset=self.offset)
        scaled = net.b.op("multiply", x, _constant(net.b, "scale", self.scale, x))
        return net.b.op("add", scaled, _constant(net.b, "offset", self.offset, x))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Normalization(Layer):
    """(x - mean) / sqrt(variance), for every position along `axis`; with `invert`, the way back.

    Mean and variance are given, or else stand in the layer's weights, where adapting the layer in Keras puts them.
    Input shape: (batch, …). Output shape: the input's.
    """

    axis: Any = option(optional(either(sequence(integer(minimum=-8, maximum=7), 0, 7),
                                       integer(minimum=-8, maximum=7))), default=-1)
    mean: Any = option(optional(array), default=None)
    variance: Any = option(optional(array), default=None)
    invert: bool = option(boolean, default=False)

    supports_masking = True
    samples = (LayerSample({"mean": 3, "variance": 4}, ((5,),), (5,)),
               LayerSample({"mean": [1, 2], "variance": [1, 0.25], "axis": 1, "invert": True}, ((2, 3),), (2, 3)),
               LayerSample({"axis": [-1]}, ((2, 3),), (2, 3), 7), LayerSample({"axis": None}, ((4,),), (4,), 3))

    def check(self, pointer: str) -> None:
        """Both statistics or none."""
        if (self.mean is None) != (self.variance is None):
            missing = "mean" if self.mean is None else "variance"
            raise Mismatch(f"{pointer}/{missing}", "mean and variance, or neither", None)

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        b, shape = net.b, self._broadcasting(x)
        if self.mean is not None:
            mean, deviation = (self._given(b, x, name, shape) for name in ("mean", "variance"))
        else:
            kept = tuple(x.shape[axis] for axis in self._axes(x))
            held = [net.weight("mean", kept, Zeros(), trainable=False),
                    net.weight("variance", kept, Ones(), trainable=False)]
            net.weight("count", (), Zeros(), trainable=False)
            mean, variance = (b.op("reshape", value, shape=shape) for value in held)
            deviation = b.op("maximum", b.op("sqrt", variance), b.constant(EPSILON))
        if self.invert:
            return b.op("add", mean, b.op("multiply", x, deviation))
        return b.op("divide", b.op("subtract", x, mean), deviation)

    def _axes(self, x: Value) -> tuple[int, ...]:
        axes = () if self.axis is None else (self.axis,) if isinstance(self.axis, int) else self.axis
        rank = x.type.rank
        found = sorted({axis % rank if -rank <= axis < rank else 0 for axis in axes})
        if 0 in found:
            raise OptionMismatch("axis", f"dimensions of {text(x.shape)} other than the batch", self.axis)
        return tuple(found)

    def _broadcasting(self, x: Value) -> tuple[int, ...]:
        axes = self._axes(x)
        return tuple(dim if axis in axes else 1 for axis, dim in enumerate(x.shape))

    def _given(self, b: GraphBuilder, x: Value, name: str, shape: tuple[int, ...]) -> Value:
        """The mean, or the standard deviation, in the shape that broadcasts."""
        data = np.asarray(getattr(self, name), np.float64)
        data = data if name == "mean" else np.maximum(np.sqrt(data), EPSILON)
        if data.size not in (1, np.prod(shape, dtype=int)):
            raise OptionMismatch(name, f"{np.prod(shape, dtype=int)} numbers for {text(x.shape)}", f"{data.size}")
        return b.constant(np.broadcast_to(data.reshape(-1), np.prod(shape, dtype=int)).reshape(shape))
