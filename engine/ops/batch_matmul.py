"""Matrix products of the examples of a batch, each with its own."""

from __future__ import annotations

import numpy as np

from engine.graph.ir import GraphBuilder, Node
from engine.heads import USUAL, Order, exchanged
from engine.lowering.request import KernelRequest, scratch
from engine.ops.base import Gradients, Op, Sample, ShapeMismatch, expect_dtype, op
from engine.types import Type, size


def _shape(rows: int, columns: int, transposed: bool, steps_first: bool) -> tuple[int, ...]:
    """Of a sample's operand: two examples, three heads."""
    rows, columns = (columns, rows) if transposed else (rows, columns)
    return (2, rows, 3, columns) if steps_first else (2, 3, rows, columns)


@op("batch_matmul")
class BatchMatmul(Op):
    """a (batch, …, m, k) by b (batch, …, k, n); either may be given with its last two dimensions exchanged.

    `steps_first`, which a pass sets, says which of four-dimensional a, b and result have their second and third
    dimension exchanged.
    """

    samples = (
        Sample(((3, 5, 7), (3, 7, 4))), Sample(((3, 7, 5), (3, 7, 17)), {"transpose_a": True}),
        Sample(((2, 3, 5, 7), (2, 3, 4, 7)), {"transpose_b": True}),
        Sample(((2, 7, 1), (2, 33, 7)), {"transpose_a": True, "transpose_b": True}),
        *(Sample((_shape(5, 7, left, order[0]), _shape(7, 18, right, order[1])),
                 {"transpose_a": left, "transpose_b": right, "steps_first": order}, differentiable=())
          for left in (False, True) for right in (False, True)
          for order in ((True, False, False), (False, True, True), (True, True, True))),
    )

    def infer(self, *types: Type, transpose_a: bool = False, transpose_b: bool = False,
              steps_first: Order = USUAL) -> tuple[Type, ...]:
        a, b = (Type(exchanged(type.shape, first), type.dtype) for type, first in zip(types, steps_first, strict=False))
        for type in types:
            expect_dtype(type, "float32", "float64")
        if a.rank < 3 or b.rank != a.rank or a.shape[:-2] != b.shape[:-2]:
            raise ShapeMismatch("two matrices for each place of (batch, …)", f"{a} and {b}")
        m, k = a.shape[:-3:-1] if transpose_a else a.shape[-2:]
        k_b, n = b.shape[:-3:-1] if transpose_b else b.shape[-2:]
        if k != k_b:
            raise ShapeMismatch(f"{k} rows of the right operand", k_b)
        return (Type(exchanged((*a.shape[:-2], m, n), steps_first[2]), a.dtype),)

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

    def reference(self, *arrays: np.ndarray, transpose_a: bool = False, transpose_b: bool = False,
                  steps_first: Order = USUAL) -> tuple[np.ndarray, ...]:
        a, b = (array.swapaxes(1, 2) if first else array for array, first in zip(arrays, steps_first, strict=False))
        with np.errstate(all="ignore"):  # numpy may report what happened in lanes beyond the last element
            y = (a.swapaxes(-1, -2) if transpose_a else a) @ (b.swapaxes(-1, -2) if transpose_b else b)
        return (y.swapaxes(1, 2) if steps_first[2] else y,)

    def lower(self, node: Node) -> list[KernelRequest]:
        a, b = node.inputs
        first = node.attrs.get("steps_first", USUAL)
        requests = []
        if node.attrs.get("transpose_b", False):
            shape = exchanged(b.shape, first[1])
            turned = scratch((*shape[:-2], shape[-1], shape[-2]))
            lead = (0, 2) if first[1] else range(len(shape) - 2)
            last = (3, 1) if first[1] else (len(shape) - 1, len(shape) - 2)
            family = "permute" if first[1] else "memory"
            requests.append(KernelRequest(family, "transpose", (b,), (turned,), {"permutation": (*lead, *last)}))
            b, first = turned, (first[0], False, first[2])
        attrs = {"transpose": node.attrs.get("transpose_a", False), "steps_first": first}
        return [*requests, KernelRequest("contract", "batch_matmul", (a, b), node.outputs, attrs)]

    def flops(self, node: Node) -> int:
        a = exchanged(node.inputs[0].shape, node.attrs.get("steps_first", USUAL)[0])
        k = a[-2 if node.attrs.get("transpose_a") else -1]
        return 2 * size((k, *node.outputs[0].shape), 1)
