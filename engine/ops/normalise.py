"""Batch normalisation over all but the last dimension (Ioffe and Szegedy, 2015)."""

from __future__ import annotations

import numpy as np

from engine.graph.ir import GraphBuilder, Node
from engine.lowering.request import KernelRequest, scratch
from engine.ops.base import Gradients, Op, Sample, op
from engine.types import Type, size


@op("batch_norm")
class BatchNorm(Op):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta; the batch's mean and biased variance are outputs too."""

    samples = (Sample(((6, 5), (5,), (5,)), {"epsilon": 1e-3}),
               Sample(((3, 4, 5, 17), (17,), (17,)), {"epsilon": 1e-3}),
               Sample(((40, 6, 6, 3), (3,), (3,)), {"epsilon": 1e-5}))

    def infer(self, *types: Type, epsilon: float) -> tuple[Type, ...]:
        x, gamma, _ = types
        return x, Type(gamma.shape, x.dtype), Type(gamma.shape, x.dtype)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        x, gamma, _ = node.inputs
        _, mean, variance = node.outputs
        g = grads[0]
        assert g is not None and grads[1] is None and grads[2] is None
        return b.apply("batch_norm_grad", g, x, gamma, mean, variance, **node.attrs)

    def reference(self, *arrays: np.ndarray, epsilon: float) -> tuple[np.ndarray, ...]:
        x, gamma, beta = arrays
        axes = tuple(range(x.ndim - 1))
        mean, variance = x.mean(axes), x.var(axes)
        return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta, mean, variance

    def lower(self, node: Node) -> list[KernelRequest]:
        y, mean, variance = node.outputs
        partial = scratch((8, 2, *mean.shape))
        return [KernelRequest("normalise", "batch_moments", node.inputs[:1], (mean, variance, partial)),
                KernelRequest("normalise", "batch_apply", (*node.inputs, mean, variance), (y,), node.attrs)]

    def flops(self, node: Node) -> int:
        return 8 * size(node.inputs[0].shape, 1)


@op("batch_norm_grad")
class BatchNormGrad(Op):
    """Gradients of x, gamma and beta from those of y."""

    samples = tuple(Sample((shape, shape, *((shape[-1],),) * 3), {"epsilon": 1e-3}, positive=(4,), differentiable=())
                    for shape in ((3, 4, 5, 7), (40, 6, 6, 3)))

    def infer(self, *types: Type, epsilon: float) -> tuple[Type, ...]:
        g, _, gamma, _, _ = types
        return g, gamma, gamma

    def reference(self, *arrays: np.ndarray, epsilon: float) -> tuple[np.ndarray, ...]:
        g, x, gamma, mean, variance = arrays
        axes = tuple(range(x.ndim - 1))
        inverse = 1 / np.sqrt(variance + epsilon)
        normal = (x - mean) * inverse
        dbeta, dgamma = g.sum(axes), (g * normal).sum(axes)
        count = x.size // x.shape[-1]
        return gamma * inverse * (g - (dbeta + normal * dgamma) / count), dgamma, dbeta

    def lower(self, node: Node) -> list[KernelRequest]:
        dx, dgamma, dbeta = node.outputs
        partial = scratch((8, 2, *dgamma.shape))
        g, x, gamma, mean, variance = node.inputs
        sums = (g, x, mean, variance), (dgamma, dbeta, partial)
        backward = (g, x, gamma, mean, variance, dgamma, dbeta), (dx,)
        return [KernelRequest("normalise", "batch_sums", *sums, node.attrs),
                KernelRequest("normalise", "batch_backward", *backward, node.attrs)]

    def flops(self, node: Node) -> int:
        return 12 * size(node.inputs[0].shape, 1)
