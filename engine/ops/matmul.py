"""Matrix product: Dense layers and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.graph.ir import GraphBuilder, Node
from engine.lowering.request import KernelRequest, panels_scratch, partial_scratch
from engine.ops.base import Gradients, Op, Sample, ShapeMismatch, expect_dtype, expect_rank, op
from engine.types import Type, size


@op("matmul")
class Matmul(Op):
    """a (m, k) by b (k, n); either may be given transposed. A fused node adds a bias (n,) and applies `epilogue`."""

    samples = (
        Sample(((5, 7), (7, 3))), Sample(((7, 5), (7, 3)), {"transpose_a": True}),
        Sample(((5, 7), (3, 7)), {"transpose_b": True}), Sample(((33, 65), (65, 50))), Sample(((1, 1), (1, 1))),
        Sample(((130, 24), (130, 17)), {"transpose_a": True}), Sample(((1030, 5), (1030, 16)), {"transpose_a": True}),
        Sample(((5, 7), (7, 3), (3,)), {"epilogue": (("relu", (0,), ()),)}, differentiable=()),
    )

    def infer(
        self, *types: Type, transpose_a: bool = False, transpose_b: bool = False, epilogue: Any = ()
    ) -> tuple[Type, ...]:
        a, b = types[:2]
        expect_rank(a, 2, "(batch, features)")
        expect_rank(b, 2, "(features, units)")
        for type in types:
            expect_dtype(type, "float32", "float64")
        m, k = a.shape[::-1] if transpose_a else a.shape
        k_b, n = b.shape[::-1] if transpose_b else b.shape
        if k != k_b:
            raise ShapeMismatch(f"{k} rows of the right operand", k_b)
        if len(types) == 3 and types[2].shape != (n,):
            raise ShapeMismatch(f"a bias of shape ({n},)", types[2].shape)
        return (Type((m, n), a.dtype),)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        x, y = node.inputs
        (g,) = grads
        assert g is not None
        left, right = node.attrs.get("transpose_a", False), node.attrs.get("transpose_b", False)
        dx = (b.op("matmul", y, g, transpose_a=right, transpose_b=True) if left
              else b.op("matmul", g, y, transpose_b=not right))
        dy = (b.op("matmul", g, x, transpose_a=True, transpose_b=left) if right
              else b.op("matmul", x, g, transpose_a=not left))
        return dx, dy

    def reference(self, *arrays: np.ndarray, transpose_a: bool = False, transpose_b: bool = False,
                  epilogue: Any = ()) -> tuple[np.ndarray, ...]:
        a, b = arrays[:2]
        product = (a.T if transpose_a else a) @ (b.T if transpose_b else b)
        return (finish(product, arrays[2:], epilogue),)

    def lower(self, node: Node) -> list[KernelRequest]:
        left, right = (bool(node.attrs.get(name, False)) for name in ("transpose_a", "transpose_b"))
        return [product(node, transpose_a=left, transpose_b=right)]

    def flops(self, node: Node) -> int:
        a = node.inputs[0].shape
        k = a[0] if node.attrs.get("transpose_a") else a[1]
        return 2 * size((k, *node.outputs[0].shape), 1)


def product(node: Node, *, transpose_a: bool = False, transpose_b: bool = False) -> KernelRequest:
    """The node's inputs multiplied, all but their last two dimensions, of the left one its last, taken together."""
    a, b, *bias = node.inputs
    n, k = b.shape[-2:] if transpose_b else b.shape[:-3:-1]
    panels = panels_scratch(k, n, needed=transpose_b)
    attrs = {"transpose_a": transpose_a, "transpose_b": transpose_b, "panels": bool(panels),
             "epilogue": node.attrs.get("epilogue", ())}
    shape = node.outputs[0].shape
    spare = [partial_scratch(*shape, terms=a.shape[0], outputs=size(shape, 1))] if transpose_a else []
    return KernelRequest("contract", "matmul", (a, b, *bias), (*node.outputs, *spare, *panels), attrs)


def finish(result: np.ndarray, bias: tuple[np.ndarray, ...] | list[np.ndarray], epilogue: Any) -> np.ndarray:
    """The reference of a fused bias and epilogue."""
    from engine.expressions import evaluate
    from engine.ops import numpy_math

    if bias:
        result = result + bias[0]
    return np.asarray(evaluate(numpy_math, epilogue, [result])).astype(result.dtype)
