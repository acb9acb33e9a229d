"""Normalisation of each row by its own moments: layer normalisation (Ba, Kiros and Hinton, arXiv:1607.06450), and root
mean square normalisation (Zhang and Sennrich, arXiv:1910.07467), which does not centre."""

from __future__ import annotations

import numpy as np

from engine.graph.ir import GraphBuilder, Node
from engine.lowering.request import KernelRequest, partial_scratch
from engine.ops.base import Gradients, Op, Sample, ShapeMismatch, expect_shape, op
from engine.types import Type, size

SHAPES: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((6, 5), (5,)), ((3, 4, 17), (17,)), ((2, 3, 4, 5), (4, 5)), ((600, 33), (33,)), ((5, 130), (130,)), ((3, 1), (1,)))


@op("row_norm")
class RowNorm(Op):
    """(x - mean) / sqrt(variance + epsilon) gamma + beta over the last dimensions, as many as gamma has.

    Unless `centered`, mean is 0 and the variance is the mean square. Outputs: y, and for each row the mean and
    1 / sqrt(variance + epsilon).
    """

    samples = tuple(Sample((shape, width, width), {"epsilon": 1e-3, "centered": centered})
                    for shape, width in SHAPES for centered in (True, False))

    def infer(self, *types: Type, epsilon: float, centered: bool) -> tuple[Type, ...]:
        x, gamma, beta = types
        lead = x.rank - gamma.rank
        if x.shape[lead:] != gamma.shape or gamma.shape != beta.shape or lead < 1:
            raise ShapeMismatch(f"gamma and beta of the last dimensions of {x.shape}", (gamma.shape, beta.shape))
        return x, Type(x.shape[:lead], x.dtype), Type(x.shape[:lead], x.dtype)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        x, gamma, _ = node.inputs
        _, mean, inverse = node.outputs
        g = grads[0]
        assert g is not None and grads[1] is None and grads[2] is None
        return b.apply("row_norm_grad", g, x, gamma, mean, inverse, **node.attrs)

    def reference(self, *arrays: np.ndarray, epsilon: float, centered: bool) -> tuple[np.ndarray, ...]:
        x, gamma, beta = arrays
        axes = tuple(range(x.ndim - gamma.ndim, x.ndim))
        mean = x.mean(axes, keepdims=True) * (1 if centered else 0)
        inverse = 1 / np.sqrt(np.square(x - mean).mean(axes, keepdims=True) + epsilon)
        y = (x - mean) * inverse * gamma + beta
        return y.astype(x.dtype), mean.squeeze(axes).astype(x.dtype), inverse.squeeze(axes).astype(x.dtype)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("row_norm", "forward", node.inputs, node.outputs, node.attrs)]

    def flops(self, node: Node) -> int:
        return 8 * size(node.inputs[0].shape, 1)


@op("row_norm_grad")
class RowNormGrad(Op):
    """Gradients of x, gamma and beta from those of y."""

    samples = tuple(Sample((shape, shape, width, *(shape[:len(shape) - len(width)],) * 2),
                           {"epsilon": 1e-3, "centered": centered}, positive=(4,), differentiable=())
                    for shape, width in SHAPES for centered in (True, False))

    def infer(self, *types: Type, epsilon: float, centered: bool) -> tuple[Type, ...]:
        g, x, gamma, mean, inverse = types
        lead = x.rank - gamma.rank
        expect_shape("a gradient", g, x.shape)
        expect_shape("gamma", gamma, x.shape[lead:])
        expect_shape("means", mean, x.shape[:lead])
        expect_shape("inverse deviations", inverse, x.shape[:lead])
        return x, gamma, gamma

    def reference(self, *arrays: np.ndarray, epsilon: float, centered: bool) -> tuple[np.ndarray, ...]:
        g, x, gamma, mean, inverse = arrays
        lead = x.ndim - gamma.ndim
        axes = tuple(range(lead, x.ndim))
        mean, inverse = np.expand_dims(mean, axes), np.expand_dims(inverse, axes)
        normal, scaled = (x - mean) * inverse, g * gamma
        left = scaled - scaled.mean(axes, keepdims=True) * (1 if centered else 0)
        dx = inverse * (left - normal * (scaled * normal).mean(axes, keepdims=True))
        rows = tuple(range(lead))
        return dx, (g * normal).sum(rows), g.sum(rows)

    def lower(self, node: Node) -> list[KernelRequest]:
        partial = partial_scratch(2, *node.inputs[2].shape)
        return [KernelRequest("row_norm", "backward", node.inputs, (*node.outputs, partial), node.attrs)]

    def flops(self, node: Node) -> int:
        return 14 * size(node.inputs[1].shape, 1)
