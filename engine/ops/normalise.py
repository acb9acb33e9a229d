"""Batch normalisation over all but the last dimension (Ioffe and Szegedy, 2015).

`batch_norm` and its gradient are what layers and autodiff speak of. The pass `split_norms` makes of each the op that
adds up and an elementwise one, which then fuses with its neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.expressions import Body, evaluate
from engine.graph.ir import GraphBuilder, Node, Value
from engine.lowering.request import KernelRequest, partial_scratch, scratch
from engine.ops import elementwise, numpy_math
from engine.ops.base import Gradients, Op, Sample, ShapeMismatch, expect_shape, op
from engine.ops.elementwise import Elementwise
from engine.types import Type, size

CHANNELS = ((6, 5), (3, 4, 5, 17), (40, 6, 6, 3))


def _whole(name: str) -> Body:
    """A chain of one op on as many inputs as it has."""
    return ((name, tuple(range({"batch_apply": 4, "batch_backward": 6}[name])), ()),)


@op("batch_norm")
class BatchNorm(Op):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta; the batch's mean and biased variance are outputs too."""

    samples = (Sample(((6, 5), (5,), (5,)), {"epsilon": 1e-3}),
               Sample(((3, 4, 5, 17), (17,), (17,)), {"epsilon": 1e-3}),
               Sample(((40, 6, 6, 3), (3,), (3,)), {"epsilon": 1e-5}))

    def infer(self, *types: Type, epsilon: float) -> tuple[Type, ...]:
        x, gamma, beta = types
        _expect_channels(x, gamma=gamma, beta=beta)
        return x, Type(gamma.shape, x.dtype), Type(gamma.shape, x.dtype)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        x, gamma, _ = node.inputs
        _, mean, variance = node.outputs
        g = grads[0]
        assert g is not None and grads[1] is None and grads[2] is None
        return b.apply("batch_norm_grad", g, x, gamma, mean, variance, **node.attrs)

    def reference(self, *arrays: np.ndarray, epsilon: float) -> tuple[np.ndarray, ...]:
        x, gamma, beta = arrays
        mean, variance, factor = BatchMoments().reference(x, gamma, epsilon=epsilon)
        return (x - mean) * factor + beta, mean, variance

    def lower(self, node: Node) -> list[KernelRequest]:
        x, gamma, beta = node.inputs
        y, mean, variance = node.outputs
        factor = scratch(mean.shape)
        return [_moments((x, gamma), (mean, variance, factor), node),
                KernelRequest("elementwise", "chain", (x, mean, factor, beta), (y,), {"body": _whole("batch_apply")})]

    def flops(self, node: Node) -> int:
        return 8 * size(node.inputs[0].shape, 1)


@op("batch_norm_grad")
class BatchNormGrad(Op):
    """Gradients of x, gamma and beta from those of y."""

    samples = tuple(Sample((shape, shape, *((shape[-1],),) * 3), {"epsilon": 1e-3}, positive=(4,), differentiable=())
                    for shape in ((3, 4, 5, 7), (40, 6, 6, 3)))

    def infer(self, *types: Type, epsilon: float) -> tuple[Type, ...]:
        g, x, gamma, mean, variance = types
        expect_shape("a gradient", g, x.shape)
        _expect_channels(x, gamma=gamma, mean=mean, variance=variance)
        return g, gamma, gamma

    def reference(self, *arrays: np.ndarray, epsilon: float) -> tuple[np.ndarray, ...]:
        g, x, gamma, mean, variance = arrays
        dgamma, dbeta, slope, shift = BatchSums().reference(x, mean, variance, g, epsilon=epsilon)
        factor = gamma / np.sqrt(variance + epsilon)
        return factor * (g - shift - (x - mean) * slope), dgamma, dbeta

    def lower(self, node: Node) -> list[KernelRequest]:
        g, x, gamma, mean, variance = node.inputs
        dx, dgamma, dbeta = node.outputs
        slope, shift, factor = (scratch(mean.shape) for _ in range(3))
        root = ("scale", (1,), (("offset", node.attrs["epsilon"]),)), ("sqrt", (2,), ()), ("divide", (0, 3), ())
        return [_sums((x, mean, variance, g), (dgamma, dbeta, slope, shift), node),
                KernelRequest("elementwise", "chain", (gamma, variance), (factor,), {"body": root}),
                KernelRequest("elementwise", "chain", (g, x, mean, factor, slope, shift), (dx,),
                              {"body": _whole("batch_backward")})]

    def flops(self, node: Node) -> int:
        return 12 * size(node.inputs[0].shape, 1)


def _expect_channels(x: Type, **others: Type) -> None:
    if x.rank < 2:
        raise ShapeMismatch("rank 2 or more (batch, …, channels)", str(x))
    for name, type in others.items():
        expect_shape(name, type, x.shape[-1:])


def _moments(reads: tuple[Value, ...], writes: tuple[Value, ...], node: Node) -> KernelRequest:
    partial = partial_scratch(2, *writes[0].shape)
    return KernelRequest("normalise", "batch_moments", reads, (*writes, partial), node.attrs)


def _sums(reads: tuple[Value, ...], writes: tuple[Value, ...], node: Node) -> KernelRequest:
    partial = partial_scratch(2, *writes[0].shape)
    return KernelRequest("normalise", "batch_sums", reads, (*writes, partial), node.attrs)


@op("batch_moments")
class BatchMoments(Op):
    """Mean and biased variance of x (batch, …, channels), and gamma / sqrt(variance + epsilon)."""

    samples = tuple(Sample((shape, (shape[-1],)), {"epsilon": 1e-3}, differentiable=())
                    for shape in (*CHANNELS, (530, 33), (7, 2, 600)))

    def infer(self, *types: Type, epsilon: float) -> tuple[Type, ...]:
        _expect_channels(types[0], gamma=types[1])
        return (types[1],) * 3

    def reference(self, *arrays: np.ndarray, epsilon: float) -> tuple[np.ndarray, ...]:
        x, gamma = arrays
        axes = tuple(range(x.ndim - 1))
        mean, variance = x.mean(axes), x.var(axes)
        return mean, variance, gamma / np.sqrt(variance + epsilon)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [_moments(node.inputs, node.outputs, node)]

    def flops(self, node: Node) -> int:
        return 4 * size(node.inputs[0].shape, 1)


@elementwise.op("batch_apply")
class BatchApply(Elementwise):
    """(x - mean) factor + beta."""

    samples = tuple(Sample((shape, *((shape[-1],),) * 3), differentiable=()) for shape in CHANNELS)
    cost = 3

    @staticmethod
    def expression(m: Any, x: Any, mean: Any, factor: Any, beta: Any) -> Any:
        return (x - mean) * factor + beta


@op("batch_sums")
class BatchSums(Op):
    """What a batch normalisation's gradient adds up: dgamma, dbeta, and of them for dx what `batch_backward` takes.

    Inputs: x, mean, variance, and the gradient g of y, or what the chain `body` makes it of: tensors of x's shape or
    numbers for each channel. slope = dgamma / (rows sqrt(variance + epsilon)), shift = dbeta / rows.
    """

    samples = (*(Sample((shape, *((shape[-1],),) * 2, shape), {"epsilon": 1e-3}, positive=(2,), differentiable=())
                 for shape in (*CHANNELS, (530, 33), (7, 2, 600))),
               Sample(((5, 3, 8), (8,), (8,), (5, 3, 8), (8,), (5, 3, 8)),
                      {"epsilon": 1e-3, "body": (("multiply", (0, 1), ()), ("relu_grad", (2, 3), ()))}, positive=(2,),
                      differentiable=()))

    def infer(self, *types: Type, epsilon: float, body: Body = ()) -> tuple[Type, ...]:
        _expect_channels(types[0], mean=types[1], variance=types[2])
        for type in types[3:]:
            if type.shape not in (types[0].shape, types[1].shape):
                expect_shape("a gradient", type, types[0].shape)
        return (types[1],) * 4

    def reference(self, *arrays: np.ndarray, epsilon: float, body: Body = ()) -> tuple[np.ndarray, ...]:
        x, mean, variance, *inputs = arrays
        g = np.asarray(evaluate(numpy_math, body, inputs))
        axes, rows = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
        inverse = 1 / np.sqrt(variance + epsilon)
        dbeta, dgamma = g.sum(axes), (g * (x - mean)).sum(axes) * inverse
        return dgamma, dbeta, dgamma * inverse / rows, dbeta / rows

    def lower(self, node: Node) -> list[KernelRequest]:
        return [_sums(node.inputs, node.outputs, node)]

    def flops(self, node: Node) -> int:
        return (4 + len(node.attrs.get("body", ()))) * size(node.inputs[0].shape, 1)


@elementwise.op("batch_backward")
class BatchBackward(Elementwise):
    """The gradient of x: factor ((g - shift) - (x - mean) slope)."""

    samples = tuple(Sample((shape, shape, *((shape[-1],),) * 4), differentiable=()) for shape in CHANNELS)
    cost = 5

    @staticmethod
    def expression(m: Any, g: Any, x: Any, mean: Any, factor: Any, slope: Any, shift: Any) -> Any:
        return factor * ((g - shift) - (x - mean) * slope)
