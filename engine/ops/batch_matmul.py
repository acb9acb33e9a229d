"""Matrix products of the examples of a batch, each with its own."""

from __future__ import annotations

import numpy as np

from engine.graph.ir import GraphBuilder, Node
from engine.lowering.request import KernelRequest, scratch
from engine.ops.base import Gradients, Op, Sample, ShapeMismatch, expect_dtype, op
from engine.types import Type, size


@op("batch_matmul")
class BatchMatmul(Op):
    """a (batch, …, m, k) by b (batch, …, k, n); either may be given with its last two dimensions exchanged."""

    samples = (
        Sample(((3, 5, 7), (3, 7, 4))), Sample(((3, 7, 5), (3, 7, 17)), {"transpose_a": True}),
        Sample(((2, 3, 5, 7), (2, 3, 4, 7)), {"transpose_b": True}),
        Sample(((2, 7, 1), (2, 33, 7)), {"transpose_a": True, "transpose_b": True}),
    )

    def infer(self, *types: Type, transpose_a: bool = False, transpose_b: bool = False) -> tuple[Type, ...]:
        a, b = types
        for type in types:
            expect_dtype(type, "float32", "float64")
        if a.rank < 3 or b.rank != a.rank or a.shape[:-2] != b.shape[:-2]:
            raise ShapeMismatch("two matrices for each place of (batch, …)", f"{a} and {b}")
        m, k = a.shape[:-3:-1] if transpose_a else a.shape[-2:]
        k_b, n = b.shape[:-3:-1] if transpose_b else b.shape[-2:]
        if k != k_b:
            raise ShapeMismatch(f"{k} rows of the right operand", k_b)
        return (Type((*a.shape[:-2], m, n), a.dtype),)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        x, y = node.inputs
        (g,) = grads
        assert g is not None
        left, right = node.attrs.get("transpose_a", False), node.attrs.get("transpose_b", False)
        dx = (b.op("batch_matmul", y, g, transpose_a=right, transpose_b=True) if left
              else b.op("batch_matmul", g, y, transpose_b=not right))
        dy = (b.op("batch_matmul", g, x, transpose_a=True, transpose_b=left) if right
              else b.op("batch_matmul", x, g, transpose_a=not left))
        return dx, dy

    def reference(self, *arrays: np.ndarray, transpose_a: bool = False,
                  transpose_b: bool = False) -> tuple[np.ndarray, ...]:
        a, b = arrays
        return ((a.swapaxes(-1, -2) if transpose_a else a) @ (b.swapaxes(-1, -2) if transpose_b else b),)

    def lower(self, node: Node) -> list[KernelRequest]:
        a, b = node.inputs
        requests = []
        if node.attrs.get("transpose_b", False):
            turned = scratch((*b.shape[:-2], b.shape[-1], b.shape[-2]))
            order = (*range(len(b.shape) - 2), len(b.shape) - 1, len(b.shape) - 2)
            requests.append(KernelRequest("memory", "transpose", (b,), (turned,), {"permutation": order}))
            b = turned
        attrs = {"transpose": node.attrs.get("transpose_a", False)}
        return [*requests, KernelRequest("contract", "batch_matmul", (a, b), node.outputs, attrs)]

    def flops(self, node: Node) -> int:
        k = node.inputs[0].shape[-2 if node.attrs.get("transpose_a") else -1]
        return 2 * size((k, *node.outputs[0].shape), 1)
