"""Ops that move values without changing them: reshape, concatenate, slice, pad, broadcast."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import ClassVar

import numpy as np

from engine.graph.ir import GraphBuilder, Node
from engine.lowering.request import KernelRequest
from engine.ops.base import Gradients, Op, Sample, ShapeMismatch, expect_dtype, op
from engine.types import Batch, Shape, Type, concrete

Pads = tuple[tuple[int, int], ...]


def _count(shape: Shape) -> tuple[int, bool]:
    """Elements for one example, and whether the batch dimension is among them."""
    return prod(concrete(shape, 1)), any(isinstance(dim, Batch) for dim in shape)


@op("reshape")
class Reshape(Op):
    """The same elements in the same order under another shape."""

    views: ClassVar[Mapping[int, int]] = {0: 0}
    samples = (Sample(((4, 6),), {"shape": (2, 12)}), Sample(((2, 3, 4),), {"shape": (24,)}),
               Sample(((4, 6),), {"shape": (4, 2, 3)}))

    def infer(self, *types: Type, shape: Shape) -> tuple[Type, ...]:
        (x,) = types
        if _count(x.shape) != _count(shape):
            raise ShapeMismatch(f"a shape of {_count(x.shape)[0]} elements", shape)
        return (Type(shape, x.dtype),)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (g,) = grads
        assert g is not None
        return (b.op("reshape", g, shape=node.inputs[0].shape),)

    def reference(self, *arrays: np.ndarray, shape: Shape) -> tuple[np.ndarray, ...]:
        (x,) = arrays
        if any(isinstance(dim, Batch) for dim in shape):
            shape = concrete(shape, x.size // prod(concrete(shape, 1)))
        return (x.reshape(shape),)  # type: ignore[arg-type]

    def lower(self, node: Node) -> list[KernelRequest]:
        return []

    def flops(self, node: Node) -> int:
        return 0


@op("concatenate")
class Concatenate(Op):
    """Values one behind the other along `axis`."""

    samples = (Sample(((2, 3), (2, 5)), {"axis": 1}), Sample(((2, 3, 4), (2, 1, 4), (2, 2, 4)), {"axis": 1}))

    def infer(self, *types: Type, axis: int) -> tuple[Type, ...]:
        first = types[0].shape
        for type in types[1:]:
            if len(type.shape) != len(first) or any(
                a != b for d, (a, b) in enumerate(zip(type.shape, first, strict=True)) if d != axis
            ):
                raise ShapeMismatch(f"shapes equal but for dimension {axis}", " and ".join(str(t) for t in types))
        total = sum(type.shape[axis] for type in types)  # type: ignore[misc]
        return (Type((*first[:axis], total, *first[axis + 1:]), types[0].dtype),)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (g,) = grads
        assert g is not None
        axis, start, parts = node.attrs["axis"], 0, []
        for value in node.inputs:
            stop = start + value.shape[axis]
            parts.append(b.op("slice", g, axis=axis, start=start, stop=stop))
            start = stop
        return parts

    def reference(self, *arrays: np.ndarray, axis: int) -> tuple[np.ndarray, ...]:
        return (np.concatenate(arrays, axis),)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("memory", "concatenate", node.inputs, node.outputs, node.attrs)]

    def flops(self, node: Node) -> int:
        return 0


@op("slice")
class Slice(Op):
    """Positions `start` to `stop` of dimension `axis`."""

    samples = (
        Sample(((3, 7),), {"axis": 1, "start": 2, "stop": 5}),
        Sample(((2, 5, 3),), {"axis": 1, "start": 0, "stop": 4}),
    )

    def infer(self, *types: Type, axis: int, start: int, stop: int) -> tuple[Type, ...]:
        (x,) = types
        dim = x.shape[axis]
        if isinstance(dim, Batch) or not 0 <= start < stop <= dim:
            raise ShapeMismatch(f"a part of 0 to {dim}", (start, stop))
        return (Type((*x.shape[:axis], stop - start, *x.shape[axis + 1:]), x.dtype),)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (g,) = grads
        assert g is not None
        axis, dim = node.attrs["axis"], node.inputs[0].shape[node.attrs["axis"]]
        pads = tuple(
            (node.attrs["start"], dim - node.attrs["stop"]) if d == axis else (0, 0) for d in range(len(g.shape))
        )
        return (b.op("pad", g, padding=pads),)

    def reference(self, *arrays: np.ndarray, axis: int, start: int, stop: int) -> tuple[np.ndarray, ...]:
        (x,) = arrays
        return (np.ascontiguousarray(x[(slice(None),) * axis + (slice(start, stop),)]),)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("memory", "slice", node.inputs, node.outputs, node.attrs)]

    def flops(self, node: Node) -> int:
        return 0


@op("pad")
class Pad(Op):
    """A constant border: `padding` gives (before, after) for each dimension."""

    samples = (
        Sample(((2, 3),), {"padding": ((0, 0), (1, 2))}),
        Sample(((2, 3, 4, 2),), {"padding": ((0, 0), (1, 0), (2, 1), (0, 0))}),
        Sample(((2, 2, 1, 3, 2, 2),), {"padding": ((0, 0), (0, 1), (1, 0), (2, 1), (0, 1), (1, 1))}),
    )

    def infer(self, *types: Type, padding: Pads, value: float = 0.0) -> tuple[Type, ...]:
        (x,) = types
        expect_dtype(x, "float32", "float64")
        shape = tuple(dim if pads == (0, 0) else dim + sum(pads)  # type: ignore[operator]
                      for dim, pads in zip(x.shape, padding, strict=True))
        return (Type(shape, x.dtype),)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (g,) = grads
        assert g is not None
        for axis, (before, _after) in enumerate(node.attrs["padding"]):
            dim = node.inputs[0].shape[axis]
            if g.shape[axis] != dim:
                g = b.op("slice", g, axis=axis, start=before, stop=before + dim)
        return (g,)

    def reference(self, *arrays: np.ndarray, padding: Pads, value: float = 0.0) -> tuple[np.ndarray, ...]:
        return (np.pad(arrays[0], padding, constant_values=value),)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("memory", "pad", node.inputs, node.outputs, {"value": 0.0, **node.attrs})]

    def flops(self, node: Node) -> int:
        return 0


@op("broadcast")
class Broadcast(Op):
    """Repeats a value along `axes` that it lacks (or has as 1), to `shape`; with `mean`, divided by the repetitions."""

    samples = (
        Sample(((4,),), {"shape": (3, 4), "axes": (0,)}),
        Sample(((2, 5),), {"shape": (2, 3, 4, 5), "axes": (1, 2), "mean": True}),
        Sample(((),), {"shape": (6,), "axes": (0,)}),
    )

    def infer(self, *types: Type, shape: Shape, axes: tuple[int, ...], mean: bool = False) -> tuple[Type, ...]:
        (x,) = types
        kept = tuple(dim for axis, dim in enumerate(shape) if axis not in axes)
        ones = tuple(1 if axis in axes else dim for axis, dim in enumerate(shape))
        if x.shape not in (kept, ones):
            raise ShapeMismatch(f"shape {kept} or {ones}", x.shape)
        return (Type(shape, x.dtype),)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (g,) = grads
        assert g is not None
        keep = len(node.inputs[0].shape) == len(node.attrs["shape"])
        kind = "reduce_mean" if node.attrs.get("mean") else "reduce_sum"
        return (b.op(kind, g, axes=node.attrs["axes"], keepdims=keep),)

    def reference(
        self, *arrays: np.ndarray, shape: Shape, axes: tuple[int, ...], mean: bool = False
    ) -> tuple[np.ndarray, ...]:
        (x,) = arrays
        if x.ndim != len(shape):
            x = np.expand_dims(x, axes)
        batch = next((x.shape[axis] // dim.factor for axis, dim in enumerate(shape)
                      if isinstance(dim, Batch) and axis not in axes), 1)
        full = concrete(shape, batch)
        divisor = prod(full[axis] for axis in axes) if mean else 1
        return ((np.broadcast_to(x, full) / divisor).astype(x.dtype),)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("elementwise", "broadcast", node.inputs, node.outputs, {"mean": False, **node.attrs})]
