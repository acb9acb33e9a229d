"""Sums, means and maxima over some dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from engine.graph.ir import GraphBuilder, Node
from engine.lowering.request import KernelRequest, partial_scratch, scratch
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
    Sample(((9, 2, 4, 3, 2),), {"axes": (0, 2, 4), "keepdims": True}),
    Sample(((3, 600, 2),), {"axes": (1,)}),
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
        """Runs of neighbouring axes one after the other, from the last to the first."""
        requests: list[KernelRequest] = []
        (source,), (out,) = node.inputs, node.outputs
        runs = _runs(node.attrs["axes"])
        for start, stop in reversed(runs):
            shape = (*source.shape[:start], *source.shape[stop:])
            target = out if start == runs[0][0] else scratch(shape, source.dtype)
            parted = self.function != "max" and start == 0 and stop > 0
            partial = (partial_scratch(*shape),) if parted else ()
            requests.append(KernelRequest("reduce", self.function, (source,), (target, *partial),
                                          {"axes": tuple(range(start, stop))}))
            source = target
        return requests

    def flops(self, node: Node) -> int:
        return size(node.inputs[0].shape, 1)


def _runs(axes: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbouring axes together, as half-open runs; an empty one if there are none."""
    runs: list[tuple[int, int]] = []
    for axis in sorted(axes):
        if runs and runs[-1][1] == axis:
            runs[-1] = (runs[-1][0], axis + 1)
        else:
            runs.append((axis, axis + 1))
    return runs or [(0, 0)]


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
