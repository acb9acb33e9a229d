"""What metrics count: arg max, membership in the top k, and counts at thresholds. None of them has a derivative."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.graph.ir import GraphBuilder, Node, Value
from engine.lowering.request import KernelRequest
from engine.ops.base import Gradients, Op, Sample, ShapeMismatch, expect_dtype, expect_rank, expect_shape, op
from engine.types import Type

EPSILON = 1e-7


class Score(Op):
    """Gradients end here."""

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Sequence[Value | None]:
        return (None,) * len(node.inputs)


@op("argmax")
class ArgMax(Score):
    """Position of the largest value of the last dimension: the first among equals, or the first NaN."""

    samples = (Sample(((5, 7),), differentiable=()), Sample(((2, 3, 40),), differentiable=()))

    def infer(self, *types: Type) -> tuple[Type, ...]:
        return (Type(types[0].shape[:-1], "int32"),)

    def reference(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return (arrays[0].argmax(-1).astype("int32"),)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("score", "argmax", node.inputs, node.outputs)]


@op("in_top_k")
class InTopK(Score):
    """1.0 where all scores are finite and fewer than k are larger than the label's; else 0.0, as TensorFlow."""

    samples = (Sample(((6, 9), (6,)), {"k": 1}, dtypes=("float32", "int32"), integers={1: 9}, differentiable=()),
               Sample(((6, 9), (6,)), {"k": 4}, dtypes=("float32", "int32"), integers={1: 9}, differentiable=()))

    def infer(self, *types: Type, k: int) -> tuple[Type, ...]:
        scores, labels = types
        expect_dtype(labels, "int32")
        if scores.shape[:-1] != labels.shape:
            raise ShapeMismatch("one label for every row of scores", str(labels))
        return (Type(labels.shape, "float32"),)

    def reference(self, *arrays: np.ndarray, k: int) -> tuple[np.ndarray, ...]:
        scores, labels = arrays
        inside = (labels >= 0) & (labels < scores.shape[-1])
        own = np.take_along_axis(scores, np.where(inside, labels, 0)[..., None], -1)
        return (((scores > own).sum(-1) < k) & np.isfinite(scores).all(-1) & inside).astype(scores.dtype),

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("score", "in_top_k", node.inputs, node.outputs, node.attrs)]


@op("one_hot")
class OneHot(Score):
    """1.0 at the label's position of a new last dimension, 0.0 elsewhere; a label out of range gives zeros."""

    samples = (Sample(((6,),), {"depth": 5}, dtypes=("int32",), integers={0: 6}, differentiable=()),)

    def infer(self, *types: Type, depth: int) -> tuple[Type, ...]:
        expect_dtype(types[0], "int32")
        return (Type((*types[0].shape, depth), "float32"),)

    def reference(self, *arrays: np.ndarray, depth: int) -> tuple[np.ndarray, ...]:
        return ((arrays[0][..., None] == np.arange(depth)).astype("float32"),)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("score", "one_hot", node.inputs, node.outputs, node.attrs)]


def cuts(count: int) -> np.ndarray:
    """Keras's AUC thresholds: evenly spaced in [0, 1], the ends moved outwards so that every score lies between."""
    inner = np.arange(1, count - 1) / (count - 1)
    return np.concatenate([[-EPSILON], inner, [1 + EPSILON]]).astype("float32")


@op("histogram")
class Histogram(Score):
    """Weighted true and false positives, true and false negatives for `score > threshold`: (4, thresholds)."""

    samples = tuple(Sample(((37,),) * 3, {"thresholds": count}, integers={1: 2}, positive=(2,), differentiable=())
                    for count in (2, 20, 200))

    def infer(self, *types: Type, thresholds: int) -> tuple[Type, ...]:
        for type in types:
            expect_rank(type, 1, "(batch,)")
            expect_dtype(type, "float32", "float64")
            expect_shape("scores, labels and weights", type, types[0].shape)
        return (Type((4, thresholds), "float32"),)

    def reference(self, *arrays: np.ndarray, thresholds: int) -> tuple[np.ndarray, ...]:
        scores, labels, weights = arrays
        above = scores[:, None] > cuts(thresholds)
        positive = labels[:, None] > 0
        cells = (above & positive, above & ~positive, ~above & ~positive, ~above & positive)
        return (np.stack([(cell * weights[:, None]).sum(0) for cell in cells]).astype(weights.dtype),)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("score", "histogram", node.inputs, node.outputs, node.attrs)]
