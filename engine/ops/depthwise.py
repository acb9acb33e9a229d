"""Depthwise convolution: every channel by its own `multiplier` kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.graph.ir import GraphBuilder, Node, Value
from engine.lowering.request import KernelRequest, partial_scratch, scratch
from engine.ops.base import Gradients, Op, Sample, ShapeMismatch, expect_rank, expect_shape, op
from engine.ops.conv import NONE, Padding, pad_request, padded, spatial, taps
from engine.types import Type, known, size
from engine.windows import Pair, halo, output_size

SHAPES = ((2, 8, 9, 5), (3, 3, 5, 2))
SETTINGS: tuple[dict[str, Any], ...] = (
    {}, {"padding": ((1, 1), (1, 1))}, {"strides": (2, 2), "padding": ((0, 1), (0, 1))},
    {"dilation": (2, 2), "padding": ((2, 2), (2, 2))}, {"strides": (4, 3)},
    {"strides": (2, 3), "dilation": (2, 2), "padding": ((2, 1), (1, 2))}, {"strides": (2, 1), "dilation": (3, 3)},
)


def _outputs(settings: dict[str, Any]) -> tuple[int, ...]:
    strides, dilation, padding = (settings.get(name, default) for name, default in
                                  (("strides", (1, 1)), ("dilation", (1, 1)), ("padding", NONE)))
    sizes = (output_size(SHAPES[0][1 + d], SHAPES[1][d], strides[d], dilation[d], padding[d]) for d in (0, 1))
    return (SHAPES[0][0], *sizes, 10)


def _repeated(x: Value, multiplier: int) -> tuple[list[KernelRequest], Value]:
    """The request that repeats every channel `multiplier` times, so that each kernel has a channel of its own."""
    if multiplier == 1:
        return [], x
    repeated = scratch((*x.shape, multiplier))
    return [KernelRequest("elementwise", "broadcast", (x,), (repeated,), {"axes": (4,), "mean": False})], repeated


def _expect_gradient(g: Type, x: Type, kernel: Type, outputs: Pair) -> None:
    channels, multiplier = known(kernel.shape[2:])
    expect_shape("an image", x, (*x.shape[:3], channels))
    expect_shape("a gradient", g, (x.shape[0], *outputs, channels * multiplier))


@op("depthwise_conv2d")
class DepthwiseConv2D(Op):
    """x (batch, h, w, c), kernel (kh, kw, c, multiplier) -> (batch, h', w', c * multiplier), each channel alone."""

    samples = (*(Sample(SHAPES, settings) for settings in SETTINGS),
               Sample(((2, 6, 6, 19), (3, 3, 19, 1))),
               Sample(((1, 1, 9, 33), (1, 7, 33, 1))))

    def infer(self, *types: Type, strides: Pair = (1, 1), padding: Padding = NONE,
              dilation: Pair = (1, 1)) -> tuple[Type, ...]:
        x, kernel = types
        expect_rank(x, 4, "(batch, height, width, channels)")
        if x.shape[3] != kernel.shape[2]:
            raise ShapeMismatch(f"a kernel for {x.shape[3]} channels", kernel.shape)
        outputs = spatial(x, kernel, strides, padding, dilation)
        return (Type((x.shape[0], *outputs, kernel.shape[2] * kernel.shape[3]), x.dtype),)  # type: ignore[operator]

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        x, kernel = node.inputs
        (g,) = grads
        assert g is not None
        return (b.op("depthwise_conv2d_backward_data", g, kernel, size=tuple(x.shape[1:3]), **node.attrs),
                b.op("depthwise_conv2d_backward_kernel", x, g, kernel=tuple(kernel.shape), **node.attrs))

    def reference(self, *arrays: np.ndarray, strides: Pair = (1, 1), padding: Padding = NONE,
                  dilation: Pair = (1, 1)) -> tuple[np.ndarray, ...]:
        x, kernel = padded(arrays[0], padding), arrays[1]
        outputs = tuple(output_size(x.shape[1 + d], kernel.shape[d], strides[d], dilation[d], (0, 0)) for d in (0, 1))
        y = np.zeros((x.shape[0], *outputs, *kernel.shape[2:]), x.dtype)
        for i, j, where in taps(x.shape, kernel.shape[:2], strides, dilation, outputs):
            y += x[where][..., None] * kernel[i, j]
        return (y.reshape(*y.shape[:3], -1),)

    def lower(self, node: Node) -> list[KernelRequest]:
        attrs = {"strides": (1, 1), "dilation": (1, 1), **node.attrs}
        padding, x = pad_request(node.inputs[0], attrs.pop("padding", NONE))
        repeating, x = _repeated(x, node.inputs[1].shape[3])
        return [*padding, *repeating, KernelRequest("depthwise", "forward", (x, node.inputs[1]), node.outputs, attrs)]

    def flops(self, node: Node) -> int:
        return 2 * size((*node.inputs[1].shape[:2], *node.outputs[0].shape), 1)


@op("depthwise_conv2d_backward_data")
class DepthwiseBackwardData(Op):
    """Gradient of the image, of height and width `size`."""

    samples = tuple(Sample((_outputs(settings), SHAPES[1]), {"size": SHAPES[0][1:3], **settings}, differentiable=())
                    for settings in SETTINGS)

    def infer(self, *types: Type, size: Pair, strides: Pair = (1, 1), padding: Padding = NONE,
              dilation: Pair = (1, 1)) -> tuple[Type, ...]:
        g, kernel = types
        x = Type((g.shape[0], *size, kernel.shape[2]), g.dtype)
        _expect_gradient(g, x, kernel, spatial(x, kernel, strides, padding, dilation))
        return (x,)

    def reference(self, *arrays: np.ndarray, size: Pair, strides: Pair = (1, 1), padding: Padding = NONE,
                  dilation: Pair = (1, 1)) -> tuple[np.ndarray, ...]:
        g, kernel = arrays
        (top, bottom), (left, right) = padding
        dx = np.zeros((g.shape[0], size[0] + top + bottom, size[1] + left + right, kernel.shape[2]), g.dtype)
        split = g.reshape(*g.shape[:3], *kernel.shape[2:])
        for i, j, where in taps(dx.shape, kernel.shape[:2], strides, dilation, g.shape[1:3]):
            dx[where] += (split * kernel[i, j]).sum(-1)
        return (dx[:, top: top + size[0], left: left + size[1]],)

    def lower(self, node: Node) -> list[KernelRequest]:
        (g, kernel), (dx,) = node.inputs, node.outputs
        attrs = {"strides": (1, 1), "dilation": (1, 1), **node.attrs}
        padding, sizes = attrs.pop("padding", NONE), attrs.pop("size")
        before = (padding[0][0], padding[1][0])
        strides, dilation = attrs["strides"], attrs["dilation"]
        halos = tuple(halo(sizes[d], kernel.shape[d], strides[d], dilation[d], before[d], g.shape[1 + d])
                      for d in (0, 1))
        surrounding, x = pad_request(g, halos)  # type: ignore[arg-type]
        attrs |= {"before": before, "outputs": tuple(g.shape[1:3])}
        multiplier = kernel.shape[3]
        if multiplier == 1:
            return [*surrounding, KernelRequest("depthwise", "backward_data", (x, kernel), (dx,), attrs)]
        apart = scratch((*dx.shape, multiplier))
        return [*surrounding, KernelRequest("depthwise", "backward_data", (x, kernel), (apart,), attrs),
                KernelRequest("reduce", "sum", (apart,), (dx,), {"axes": (4,)})]

    def flops(self, node: Node) -> int:
        return 2 * size((*node.inputs[1].shape[:2], *node.inputs[0].shape), 1)


@op("depthwise_conv2d_backward_kernel")
class DepthwiseBackwardKernel(Op):
    """Gradient of the kernel, of shape `kernel`."""

    samples = (*(Sample((SHAPES[0], _outputs(settings)), {"kernel": SHAPES[1], **settings}, differentiable=())
                 for settings in SETTINGS),
               Sample(((70, 6, 6, 3), (70, 4, 4, 3)), {"kernel": (3, 3, 3, 1)}, differentiable=()),
               Sample(((3, 9, 9, 19), (3, 2, 2, 19)), {"kernel": (8, 8, 19, 1)}, differentiable=()))

    def infer(self, *types: Type, kernel: tuple[int, ...], strides: Pair = (1, 1), padding: Padding = NONE,
              dilation: Pair = (1, 1)) -> tuple[Type, ...]:
        x, g = types
        _expect_gradient(g, x, Type(kernel), spatial(x, Type(kernel), strides, padding, dilation))
        return (Type(kernel, g.dtype),)

    def reference(self, *arrays: np.ndarray, kernel: tuple[int, ...], strides: Pair = (1, 1), padding: Padding = NONE,
                  dilation: Pair = (1, 1)) -> tuple[np.ndarray, ...]:
        x, g = padded(arrays[0], padding), arrays[1]
        split = g.reshape(*g.shape[:3], *kernel[2:])
        dk = np.zeros(kernel, g.dtype)
        for i, j, where in taps(x.shape, kernel[:2], strides, dilation, g.shape[1:3]):
            dk[i, j] = (x[where][..., None] * split).sum((0, 1, 2))
        return (dk,)

    def lower(self, node: Node) -> list[KernelRequest]:
        attrs = {"strides": (1, 1), "dilation": (1, 1), **node.attrs}
        padding, x = pad_request(node.inputs[0], attrs.pop("padding", NONE))
        repeating, x = _repeated(x, attrs.pop("kernel")[3])
        partial = partial_scratch(*node.outputs[0].shape, terms=node.inputs[0].shape[0])
        writes = (*node.outputs, partial)
        return [*padding, *repeating, KernelRequest("depthwise", "backward_kernel", (x, node.inputs[1]), writes, attrs)]

    def flops(self, node: Node) -> int:
        return 2 * size((*node.outputs[0].shape[:2], *node.inputs[1].shape), 1)
