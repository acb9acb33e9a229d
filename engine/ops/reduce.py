"""Sums, means and maxima over some dimensions."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from engine.graph.ir import GraphBuilder, Node
from engine.lowering.request import KernelRequest, scratch
from engine.ops.base import Gradients, Op, Sample, op
from engine.types import Type, size

SAMPLES = (
    Sample(((5, 7),), {"axes": (0,)}),
    Sample(((5, 7),), {"axes": (1,), "keepdims": True}),
    Sample(((4, 3, 5, 6),), {"axes": (1, 2)}),
    Sample(((4, 3, 2),), {"axes": (0, 1, 2)}),
    Sample(((700, 33),), {"axes": (0,)}),
    Sample(((2, 5, 3),), {"axes": (0, 2)}),
    Sample(((1300,),), {"axes": (0,)}),
)


class Reduction(Op):
    """`axes` are summed up (or averaged, or the largest taken), and dropped unless `keepdims`."""

    function: ClassVar[str]
    samples = SAMPLES

    def infer(self, *types: Type, axes: tuple[int, ...], keepdims: bool = False) -> tuple[Type, ...]:
        (x,) = types
        shape = tuple(1 if axis in axes else dim for axis, dim in enumerate(x.shape) if keepdims or axis not in axes)
        return (Type(shape, x.dtype),)

    def lower(self, node: Node) -> list[KernelRequest]:
        axes = tuple(sorted(node.attrs["axes"]))
        parted = self.function != "max" and axes[:1] == (0,)
        partial = (scratch((8, *node.outputs[0].shape)),) if parted else ()
        return [KernelRequest("reduce", self.function, node.inputs, (*node.outputs, *partial), {"axes": axes})]

    def flops(self, node: Node) -> int:
        return size(node.inputs[0].shape, 1)


@op("reduce_sum")
class ReduceSum(Reduction):
    """The sum; over nothing, 0."""

    function = "sum"

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (g,) = grads
        assert g is not None
        return (b.op("broadcast", g, shape=node.inputs[0].shape, axes=tuple(node.attrs["axes"])),)

    def reference(self, *arrays: np.ndarray, axes: tuple[int, ...], keepdims: bool = False) -> tuple[np.ndarray, ...]:
        return (np.asarray(arrays[0].sum(axes, keepdims=keepdims)),)


@op("reduce_mean")
class ReduceMean(Reduction):
    """The sum divided by the real count, that of a smaller last batch included."""

    function = "mean"

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (g,) = grads
        assert g is not None
        return (b.op("broadcast", g, shape=node.inputs[0].shape, axes=tuple(node.attrs["axes"]), mean=True),)

    def reference(self, *arrays: np.ndarray, axes: tuple[int, ...], keepdims: bool = False) -> tuple[np.ndarray, ...]:
        return (np.asarray(arrays[0].mean(axes, keepdims=keepdims)),)


@op("reduce_max")
class ReduceMax(Reduction):
    """The largest value; NaN if there is one. Equal values share the gradient, as in TensorFlow."""

    function = "max"

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (g,) = grads
        (x,) = node.inputs
        assert g is not None
        axes = tuple(node.attrs["axes"])
        spread: dict[str, Any] = {"shape": x.shape, "axes": axes}
        chosen = b.op("equal", x, b.op("broadcast", node.outputs[0], **spread))
        share = b.op("divide", g, b.op("reduce_sum", chosen, axes=axes, keepdims=node.attrs.get("keepdims", False)))
        return (b.op("multiply", chosen, b.op("broadcast", share, **spread)),)

    def reference(self, *arrays: np.ndarray, axes: tuple[int, ...], keepdims: bool = False) -> tuple[np.ndarray, ...]:
        return (np.asarray(arrays[0].max(axes, keepdims=keepdims)),)
