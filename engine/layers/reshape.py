"""Another shape or another order for the same elements."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net, OptionMismatch, channels_last, text
from engine.ops.base import ShapeMismatch
from engine.options import Mismatch, Reader, integer, option, sequence
from engine.registry import register

_dimensions = sequence(integer(minimum=-1), maximum=7)


def _target(value: Any, pointer: str) -> tuple[int, ...]:
    if isinstance(value, (list, tuple)):
        value = [-1 if dim is None else dim for dim in value]
    shape: tuple[int, ...] = _dimensions(value, pointer)
    if 0 in shape:
        raise Mismatch(f"{pointer}/{shape.index(0)}", "a positive integer or -1", 0)
    if shape.count(-1) > 1:
        raise Mismatch(pointer, "at most one -1", list(shape))
    return shape


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Reshape(Layer):
    """The elements of each example, in order, under `target_shape`; one -1 stands for what remains.

    Input shape: (batch, …). Output shape: (batch, *target_shape).
    """

    target_shape: tuple[int, ...] = option(Reader(_target, _dimensions.schema))

    size_option = "target_shape"
    samples = (LayerSample({"target_shape": [4, 3]}, ((2, 6),), (4, 3)),
               LayerSample({"target_shape": [-1, 2, 2]}, ((12,),), (3, 2, 2)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        elements = math.prod(x.shape[1:])
        known = math.prod(dim for dim in self.target_shape if dim != -1)
        fits = elements % known == 0 if -1 in self.target_shape else elements == known
        if not fits:
            raise OptionMismatch("target_shape", f"a shape of {elements} elements", list(self.target_shape))
        shape = tuple(elements // known if dim == -1 else dim for dim in self.target_shape)
        return net.b.op("reshape", x, shape=(x.shape[0], *shape))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Flatten(Layer):
    """All dimensions of an example in one.

    Input shape: (batch, …). Output shape: (batch, product of the others).
    """

    data_format: str = option(channels_last, default="channels_last")

    samples = (LayerSample({}, ((3, 4, 2),), (24,)), LayerSample({}, ((5,),), (5,)), LayerSample({}, ((),), (1,)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        return net.b.op("reshape", x, shape=(x.shape[0], math.prod(x.shape[1:])))


def _order(value: Any, pointer: str) -> tuple[int, ...]:
    dims: tuple[int, ...] = sequence(integer(minimum=1), 1, 7)(value, pointer)
    if sorted(dims) != list(range(1, len(dims) + 1)):
        raise Mismatch(pointer, f"the dimensions 1 to {len(dims)}, each once", list(dims))
    return dims


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Permute(Layer):
    """Dimension `dims[i]` of the input, counted from 1 behind the batch, as dimension i + 1 of the output.

    Input shape: (batch, …). Output shape: (batch, …), the same sizes in that order.
    """

    dims: tuple[int, ...] = option(Reader(_order, {"type": "array", "items": {"type": "integer", "minimum": 1}}))

    samples = (LayerSample({"dims": [2, 1]}, ((3, 5),), (5, 3)),
               LayerSample({"dims": [3, 1, 2]}, ((3, 4, 5),), (5, 3, 4)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        if x.type.rank != len(self.dims) + 1:
            raise OptionMismatch("dims", f"{x.type.rank - 1} dimensions for {text(x.shape)}", list(self.dims))
        return net.b.op("transpose", x, permutation=(0, *self.dims))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RepeatVector(Layer):
    """A vector as each of `n` steps.

    Input shape: (batch, features). Output shape: (batch, n, features).
    """

    n: int = option(integer(minimum=1))

    size_option = "n"
    samples = (LayerSample({"n": 3}, ((4,),), (3, 4)), LayerSample({"n": 1}, ((2,),), (1, 2)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        if x.type.rank != 2:
            raise ShapeMismatch("rank 2 (batch, features)", text(x.shape))
        return net.b.op("broadcast", x, shape=(x.shape[0], self.n, x.shape[1]), axes=(1,))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Identity(Layer):
    """The input itself.

    Input shape: any. Output shape: the input's.
    """

    supports_masking = True
    samples = (LayerSample({}, ((5,),), (5,)), LayerSample({}, ((2, 3),), (2, 3)))

    def build(self, net: Net, *inputs: Value) -> Value:
        return inputs[0]
