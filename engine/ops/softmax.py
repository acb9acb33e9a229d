"""Softmax over the last dimension, and cross-entropy from logits."""

from __future__ import annotations

import numpy as np

from engine.graph.ir import GraphBuilder, Node
from engine.lowering.request import KernelRequest
from engine.ops.base import Gradients, Op, Sample, ShapeMismatch, expect_dtype, expect_rank, expect_shape, op
from engine.types import Type, size


def _softmax(x: np.ndarray) -> np.ndarray:
    shifted = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True))


@op("softmax")
class Softmax(Op):
    """exp(x - max) / sum."""

    samples = (Sample(((5, 7),)), Sample(((2, 3, 33),)), Sample(((4, 1),)))

    def infer(self, *types: Type) -> tuple[Type, ...]:
        if not types[0].shape:
            raise ShapeMismatch("at least one dimension", "a single number")
        return (types[0],)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (g,) = grads
        assert g is not None
        return (b.op("softmax_grad", node.outputs[0], g),)

    def reference(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return (_softmax(arrays[0]),)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("softmax", "forward", node.inputs, node.outputs)]

    def flops(self, node: Node) -> int:
        return 12 * size(node.outputs[0].shape, 1)


@op("softmax_grad")
class SoftmaxGrad(Op):
    """y (g - sum(g y)), from the softmax y and its gradient g."""

    samples = (Sample(((5, 7), (5, 7)), differentiable=()),)

    def infer(self, *types: Type) -> tuple[Type, ...]:
        y, g = types
        expect_shape("a gradient", g, y.shape)
        return (g,)

    def reference(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        y, g = arrays
        return (y * (g - (g * y).sum(-1, keepdims=True)),)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("softmax", "grad", node.inputs, node.outputs)]


@op("sparse_cross_entropy")
class SparseCrossEntropy(Op):
    """-log softmax(logits)[label] for every row, and the softmax. A label out of range gives NaN."""

    samples = (Sample(((6, 5), (6,)), dtypes=("float32", "int32"), integers={1: 5}, differentiable=(0,)),)

    def infer(self, *types: Type) -> tuple[Type, ...]:
        logits, labels = types
        expect_rank(logits, 2, "(batch, classes)")
        expect_dtype(labels, "int32")
        if labels.shape != logits.shape[:1]:
            raise ShapeMismatch("one label for every row of logits", str(labels))
        return Type(logits.shape[:1], logits.dtype), logits

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        g = grads[0]
        assert g is not None and grads[1] is None
        return b.op("sparse_cross_entropy_grad", node.outputs[1], node.inputs[1], g), None

    def reference(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        logits, labels = arrays
        shifted = logits - logits.max(-1, keepdims=True)
        total = np.log(np.exp(shifted).sum(-1))
        inside = (labels >= 0) & (labels < logits.shape[1])
        chosen = np.take_along_axis(shifted, np.where(inside, labels, 0)[:, None], 1)[:, 0]
        return np.where(inside, total - chosen, np.nan).astype(logits.dtype), _softmax(logits)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("softmax", "sparse_cross_entropy", node.inputs, node.outputs)]

    def flops(self, node: Node) -> int:
        return 12 * size(node.inputs[0].shape, 1)


@op("sparse_cross_entropy_grad")
class SparseCrossEntropyGrad(Op):
    """(softmax - one-hot) g for every row."""

    samples = (
        Sample(((6, 5), (6,), (6,)), dtypes=("float32", "int32", "float32"), integers={1: 5}, differentiable=()),
    )

    def infer(self, *types: Type) -> tuple[Type, ...]:
        p, labels, g = types
        expect_shape("labels", labels, p.shape[:1])
        expect_shape("a gradient", g, p.shape[:1])
        return (p,)

    def reference(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        p, labels, g = arrays
        return ((p - np.eye(p.shape[1], dtype=p.dtype)[np.clip(labels, 0, p.shape[1] - 1)]) * g[:, None],)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("softmax", "sparse_cross_entropy_grad", node.inputs, node.outputs)]


@op("cross_entropy")
class CrossEntropy(Op):
    """-sum(target log softmax(logits)) for every row, and the softmax."""

    samples = (Sample(((6, 5), (6, 5)), positive=(1,), differentiable=(0,)),)

    def infer(self, *types: Type) -> tuple[Type, ...]:
        logits, target = types
        expect_rank(logits, 2, "(batch, classes)")
        if target.shape != logits.shape:
            raise ShapeMismatch(f"a target like the logits, {logits}", str(target))
        return Type(logits.shape[:1], logits.dtype), logits

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        g = grads[0]
        assert g is not None and grads[1] is None
        return b.op("cross_entropy_grad", node.outputs[1], node.inputs[1], g), None

    def reference(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        logits, target = arrays
        shifted = logits - logits.max(-1, keepdims=True)
        total = np.log(np.exp(shifted).sum(-1, keepdims=True))
        return (target * (total - shifted)).sum(-1), _softmax(logits)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("softmax", "cross_entropy", node.inputs, node.outputs)]

    def flops(self, node: Node) -> int:
        return 14 * size(node.inputs[0].shape, 1)


@op("cross_entropy_grad")
class CrossEntropyGrad(Op):
    """(softmax sum(target) - target) g for every row."""

    samples = (Sample(((6, 5), (6, 5), (6,)), differentiable=()),)

    def infer(self, *types: Type) -> tuple[Type, ...]:
        p, target, g = types
        expect_shape("a target", target, p.shape)
        expect_shape("a gradient", g, p.shape[:1])
        return (p,)

    def reference(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        p, target, g = arrays
        return ((p * target.sum(-1, keepdims=True) - target) * g[:, None],)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("softmax", "cross_entropy_grad", node.inputs, node.outputs)]
