"""Pooling over windows of images (batch, height, width, channels)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.graph.ir import GraphBuilder, Node
from engine.lowering.request import KernelRequest
from engine.ops.base import Gradients, Op, Sample, ShapeMismatch, expect_rank, expect_shape, op
from engine.ops.conv import NONE, Padding, padded, taps
from engine.types import Type, known, size
from engine.windows import Pair, output_size

CASES: tuple[tuple[tuple[int, ...], Mapping[str, Any]], ...] = (
    ((2, 6, 8, 5), {"pool": (2, 2), "strides": (2, 2)}), ((2, 7, 7, 3), {"pool": (2, 2), "strides": (2, 2)}),
    ((1, 7, 6, 17), {"pool": (3, 2), "strides": (1, 2), "padding": ((1, 1), (0, 0))}),
    ((2, 5, 5, 2), {"pool": (3, 3), "strides": (2, 2), "padding": ((1, 1), (0, 1))}),
)


def _outputs(x: tuple[int, ...], attrs: Mapping[str, Any]) -> tuple[int, ...]:
    padding = attrs.get("padding", NONE)
    return (x[0], *(output_size(x[1 + d], attrs["pool"][d], attrs["strides"][d], 1, padding[d]) for d in (0, 1)), x[3])


def _pooled(x: Type, pool: Pair, strides: Pair, padding: Padding) -> Type:
    """The type of what is pooled from x. Raises ShapeMismatch."""
    expect_rank(x, 4, "(batch, height, width, channels)")
    image = known(x.shape[1:3])
    outputs = tuple(output_size(image[d], pool[d], strides[d], 1, padding[d]) for d in (0, 1))
    if min(outputs) < 1:
        raise ShapeMismatch(f"an image of at least {pool[0]} x {pool[1]} pixels", f"{x.shape[1]} x {x.shape[2]}")
    return Type((x.shape[0], *outputs, x.shape[3]), x.dtype)


class Pool(Op):
    """What both poolings share: windows of `pool` pixels, `strides` apart, over an image with `padding`."""

    samples = tuple(Sample((x,), attrs) for x, attrs in CASES)

    def flops(self, node: Node) -> int:
        height, width = node.attrs["pool"]
        return int(height * width) * size(node.outputs[0].shape, 1)


@op("max_pool2d")
class MaxPool2D(Pool):
    """The largest value of each window, and which of them it is: the first among equals; NaN wins."""

    def infer(self, *types: Type, pool: Pair, strides: Pair, padding: Padding = NONE) -> tuple[Type, ...]:
        y = _pooled(types[0], pool, strides, padding)
        if pool[0] * pool[1] > 256:
            raise ShapeMismatch("a window of at most 256 pixels", f"{pool[0]} x {pool[1]}")
        return y, Type(y.shape, "uint8")

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (x,) = node.inputs
        g = grads[0]
        assert g is not None
        return (b.op("max_pool2d_grad", g, node.outputs[1], size=tuple(x.shape[1:3]), **node.attrs),)

    def reference(
        self, *arrays: np.ndarray, pool: Pair, strides: Pair, padding: Padding = NONE
    ) -> tuple[np.ndarray, ...]:
        x = padded(arrays[0], padding, -np.inf)
        outputs = tuple(output_size(x.shape[1 + d], pool[d], strides[d], 1, (0, 0)) for d in (0, 1))
        windows = np.stack([x[where] for _, _, where in taps(x.shape, pool, strides, (1, 1), outputs)])
        chosen = windows.argmax(0)
        return np.take_along_axis(windows, chosen[None], 0)[0], chosen.astype("uint8")

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("pool", "maximum", node.inputs, node.outputs, {"padding": NONE, **node.attrs})]


@op("max_pool2d_grad")
class MaxPool2DGrad(Op):
    """The gradient goes to the value that was chosen."""

    samples = tuple(
        Sample(
            (_outputs(x, attrs), _outputs(x, attrs)),
            {"size": x[1:3], **attrs},
            dtypes=("float32", "uint8"),
            integers={1: attrs["pool"][0] * attrs["pool"][1]},
            differentiable=(),
        )
        for x, attrs in CASES
        if "padding" not in attrs
    )

    def infer(self, *types: Type, size: Pair, pool: Pair, strides: Pair, padding: Padding = NONE) -> tuple[Type, ...]:
        g, chosen = types
        expect_shape("positions", chosen, g.shape)
        expect_rank(g, 4, "(batch, height, width, channels)")
        image = Type((g.shape[0], *size, g.shape[3]))
        expect_shape("a gradient", g, _pooled(image, pool, strides, padding).shape)
        return (Type((g.shape[0], *size, g.shape[3]), g.dtype),)

    def reference(
        self, *arrays: np.ndarray, size: Pair, pool: Pair, strides: Pair, padding: Padding = NONE
    ) -> tuple[np.ndarray, ...]:
        g, chosen = arrays
        (top, bottom), (left, right) = padding
        dx = np.zeros((g.shape[0], size[0] + top + bottom, size[1] + left + right, g.shape[3]), g.dtype)
        for i, j, where in taps(dx.shape, pool, strides, (1, 1), g.shape[1:3]):
            dx[where] += np.where(chosen == i * pool[1] + j, g, 0)
        return (dx[:, top: top + size[0], left: left + size[1]],)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("pool", "maximum_grad", node.inputs, node.outputs, {"padding": NONE, **node.attrs})]


@op("average_pool2d")
class AveragePool2D(Pool):
    """The mean of each window's real pixels; padding does not count, as in Keras."""

    def infer(self, *types: Type, pool: Pair, strides: Pair, padding: Padding = NONE) -> tuple[Type, ...]:
        return (_pooled(types[0], pool, strides, padding),)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (x,) = node.inputs
        (g,) = grads
        assert g is not None
        return (b.op("average_pool2d_grad", g, size=tuple(x.shape[1:3]), **node.attrs),)

    def reference(
        self, *arrays: np.ndarray, pool: Pair, strides: Pair, padding: Padding = NONE
    ) -> tuple[np.ndarray, ...]:
        x = padded(arrays[0], padding)
        counted = padded(np.ones_like(arrays[0][:1, :, :, :1]), padding)
        outputs = tuple(output_size(x.shape[1 + d], pool[d], strides[d], 1, (0, 0)) for d in (0, 1))
        places = list(taps(x.shape, pool, strides, (1, 1), outputs))
        total = np.sum([x[where] for _, _, where in places], axis=0)
        return (total / np.sum([counted[where] for _, _, where in places], axis=0),)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("pool", "average", node.inputs, node.outputs, {"padding": NONE, **node.attrs})]


@op("average_pool2d_grad")
class AveragePool2DGrad(Op):
    """Each real pixel of a window takes an equal share."""

    samples = tuple(Sample((_outputs(x, attrs),), {"size": x[1:3], **attrs}, differentiable=()) for x, attrs in CASES)

    def infer(self, *types: Type, size: Pair, pool: Pair, strides: Pair, padding: Padding = NONE) -> tuple[Type, ...]:
        (g,) = types
        expect_rank(g, 4, "(batch, height, width, channels)")
        image = Type((g.shape[0], *size, g.shape[3]))
        expect_shape("a gradient", g, _pooled(image, pool, strides, padding).shape)
        return (Type((g.shape[0], *size, g.shape[3]), g.dtype),)

    def reference(
        self, *arrays: np.ndarray, size: Pair, pool: Pair, strides: Pair, padding: Padding = NONE
    ) -> tuple[np.ndarray, ...]:
        (g,) = arrays
        (top, bottom), (left, right) = padding
        counted = padded(np.ones((1, *size, 1), g.dtype), padding)
        places = list(taps(counted.shape, pool, strides, (1, 1), g.shape[1:3]))
        share = g / sum(counted[where] for _, _, where in places)
        dx = np.zeros((g.shape[0], size[0] + top + bottom, size[1] + left + right, g.shape[3]), g.dtype)
        for _, _, where in places:
            dx[where] += share
        return (dx[:, top: top + size[0], left: left + size[1]],)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("pool", "average_grad", node.inputs, node.outputs, {"padding": NONE, **node.attrs})]
