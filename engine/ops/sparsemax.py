"""Sparsemax (Martins and Astudillo, ICML 2016): the point of the simplex that is nearest to each row."""

from __future__ import annotations

import numpy as np

from engine.graph.ir import GraphBuilder, Node
from engine.lowering.request import KernelRequest
from engine.ops.base import Gradients, Op, Sample, ShapeMismatch, op
from engine.types import Type, size


@op("sparsemax")
class Sparsemax(Op):
    """max(x - threshold, 0) over the last dimension, with the threshold at which a row's sum is 1."""

    samples = (Sample(((5, 7),)), Sample(((2, 3, 33),)), Sample(((4, 1),)))

    def infer(self, *types: Type) -> tuple[Type, ...]:
        if not types[0].shape:
            raise ShapeMismatch("at least one dimension", "a single number")
        return (types[0],)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (g,) = grads
        assert g is not None
        axes = (g.type.rank - 1,)
        support = b.op("greater", node.outputs[0], b.constant(0.0))
        inside = b.op("multiply", g, support)
        mean = b.op("divide", b.op("reduce_sum", inside, axes=axes, keepdims=True),
                    b.op("reduce_sum", support, axes=axes, keepdims=True))
        return (b.op("subtract", inside, b.op("multiply", support, mean)),)

    def reference(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        (x,) = arrays
        ordered = -np.sort(-x, -1)
        sums = np.cumsum(ordered, -1)
        support = ordered * np.arange(1, x.shape[-1] + 1) > sums - 1
        count = support.sum(-1, keepdims=True)
        threshold = ((ordered * support).sum(-1, keepdims=True) - 1) / count
        return (np.maximum(x - threshold, 0).astype(x.dtype),)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("sparsemax", "forward", node.inputs, node.outputs)]

    def flops(self, node: Node) -> int:
        return 20 * size(node.outputs[0].shape, 1)
