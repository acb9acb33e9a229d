"""Rows of a table by their numbers."""

from __future__ import annotations

import numpy as np

from engine.graph.ir import GraphBuilder, Node
from engine.lowering.request import KernelRequest
from engine.ops.base import Gradients, Op, Sample, expect_dtype, expect_rank, expect_shape, op
from engine.types import Batch, Dim, Type, size

INTEGERS = ("float32", "float64", "int32")


@op("embedding")
class Embedding(Op):
    """table (rows, width), ids (batch, …) -> (batch, …, width). Fractions of ids are cut off, as Keras's cast does;
    an id that is no row gives NaN."""

    samples = (Sample(((5, 3), (4, 6)), integers={1: 5}, differentiable=(0,)),
               Sample(((7, 33), (9,)), dtypes=("float32", "int32"), integers={1: 7}, differentiable=(0,)))

    def infer(self, *types: Type) -> tuple[Type, ...]:
        table, ids = types
        expect_rank(table, 2, "(rows, width)")
        expect_dtype(ids, *INTEGERS)
        return (Type((*ids.shape, table.shape[1]), table.dtype),)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (g,) = grads
        assert g is not None
        return b.op("embedding_grad", node.inputs[1], g, rows=node.inputs[0].shape[0]), None

    def reference(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        table, ids = arrays
        wanted, inside = _rows(ids, len(table))
        return (np.where(inside[..., None], table[wanted], np.nan).astype(table.dtype),)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("embedding", "gather", node.inputs, node.outputs)]

    def flops(self, node: Node) -> int:
        return 0


@op("embedding_grad")
class EmbeddingGrad(Op):
    """The table's gradient: rows of g, added up where an id occurs several times, from the first to the last."""

    samples = (Sample(((40, 6), (40, 6, 3)), {"rows": 5}, integers={0: 5}, differentiable=()),
               Sample(((9,), (9, 33)), {"rows": 7}, dtypes=("int32", "float32"), integers={0: 7}, differentiable=()))

    def infer(self, *types: Type, rows: Dim) -> tuple[Type, ...]:
        ids, g = types
        expect_shape("a gradient", g, (*ids.shape, *g.shape[-1:]))
        return (Type((rows, g.shape[-1]), g.dtype),)

    def reference(self, *arrays: np.ndarray, rows: Dim) -> tuple[np.ndarray, ...]:
        ids, g = arrays
        count = rows.length(len(ids)) if isinstance(rows, Batch) else rows  # rows that are examples have one id each
        wanted, inside = _rows(ids, count)
        table = np.zeros((count, g.shape[-1]), g.dtype)
        np.add.at(table, wanted[inside], g[inside])
        return (table,)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("embedding", "scatter", node.inputs, node.outputs)]

    def flops(self, node: Node) -> int:
        return size(node.inputs[1].shape, 1)


def _rows(ids: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers, those outside as 0, and which are inside."""
    inside = (np.trunc(ids) >= 0) & (np.trunc(ids) < count)
    return np.where(inside, ids, 0).astype(np.int64), inside
