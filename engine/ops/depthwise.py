"""Depthwise convolution: every channel by its own `multiplier` kernels."""

from __future__ import annotations

import numpy as np

from engine.graph.ir import GraphBuilder, Node
from engine.lowering.request import KernelRequest, scratch
from engine.ops.base import Gradients, Op, Sample, ShapeMismatch, expect_rank, op
from engine.ops.conv import NONE, Padding, Pair, _spatial, output_size, pad_request, padded, taps
from engine.types import Type, size

SHAPES = ((2, 8, 9, 5), (3, 3, 5, 2))
SETTINGS = ({}, {"padding": ((1, 1), (1, 1))}, {"strides": (2, 2), "padding": ((0, 1), (0, 1))},
            {"dilation": (2, 2), "padding": ((2, 2), (2, 2))})


def _outputs(settings: dict[str, object]) -> tuple[int, ...]:
    strides, dilation, padding = (settings.get(name, default) for name, default in
                                  (("strides", (1, 1)), ("dilation", (1, 1)), ("padding", NONE)))
    sizes = (output_size(SHAPES[0][1 + d], SHAPES[1][d], strides[d], dilation[d], padding[d]) for d in (0, 1))  # type: ignore[index]
    return (SHAPES[0][0], *sizes, 10)


@op("depthwise_conv2d")
class DepthwiseConv2D(Op):
    """x (batch, h, w, c) and kernel (kh, kw, c, multiplier) give (batch, h', w', c * multiplier), channel by channel."""

    samples = tuple(Sample(SHAPES, settings) for settings in SETTINGS) + (Sample(((2, 6, 6, 19), (3, 3, 19, 1))),)

    def infer(self, *types: Type, strides: Pair = (1, 1), padding: Padding = NONE, dilation: Pair = (1, 1)) -> tuple[Type, ...]:
        x, kernel = types
        expect_rank(x, 4, "(batch, height, width, channels)")
        if x.shape[3] != kernel.shape[2]:
            raise ShapeMismatch(f"a kernel for {x.shape[3]} channels", kernel.shape)
        outputs = _spatial(None, x, kernel, strides, padding, dilation)
        return (Type((x.shape[0], *outputs, kernel.shape[2] * kernel.shape[3]), x.dtype),)

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
        for i, j, where in taps(x.shape, kernel.shape[:2], strides, dilation, outputs):  # type: ignore[arg-type]
            y += x[where][..., None] * kernel[i, j]
        return (y.reshape(*y.shape[:3], -1),)

    def lower(self, node: Node) -> list[KernelRequest]:
        attrs = {"strides": (1, 1), "dilation": (1, 1), **node.attrs}
        requests, x = pad_request(node.inputs[0], attrs.pop("padding", NONE))
        return [*requests, KernelRequest("depthwise", "forward", (x, node.inputs[1]), node.outputs, attrs)]

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
        return (Type((g.shape[0], *size, kernel.shape[2]), g.dtype),)

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
        attrs = {"strides": (1, 1), "dilation": (1, 1), "padding": NONE, **node.attrs}
        del attrs["size"]
        return [KernelRequest("depthwise", "backward_data", node.inputs, node.outputs, attrs)]

    def flops(self, node: Node) -> int:
        return 2 * size((*node.inputs[1].shape[:2], *node.inputs[0].shape), 1)


@op("depthwise_conv2d_backward_kernel")
class DepthwiseBackwardKernel(Op):
    """Gradient of the kernel, of shape `kernel`."""

    samples = tuple(Sample((SHAPES[0], _outputs(settings)), {"kernel": SHAPES[1], **settings}, differentiable=())
                    for settings in SETTINGS) + (Sample(((70, 6, 6, 3), (70, 4, 4, 3)), {"kernel": (3, 3, 3, 1)}, differentiable=()),)

    def infer(self, *types: Type, kernel: tuple[int, ...], strides: Pair = (1, 1), padding: Padding = NONE,
              dilation: Pair = (1, 1)) -> tuple[Type, ...]:
        return (Type(kernel, types[1].dtype),)

    def reference(self, *arrays: np.ndarray, kernel: tuple[int, ...], strides: Pair = (1, 1), padding: Padding = NONE,
                  dilation: Pair = (1, 1)) -> tuple[np.ndarray, ...]:
        x, g = padded(arrays[0], padding), arrays[1]
        split = g.reshape(*g.shape[:3], *kernel[2:])
        dk = np.zeros(kernel, g.dtype)
        for i, j, where in taps(x.shape, kernel[:2], strides, dilation, g.shape[1:3]):  # type: ignore[arg-type]
            dk[i, j] = (x[where][..., None] * split).sum((0, 1, 2))
        return (dk,)

    def lower(self, node: Node) -> list[KernelRequest]:
        attrs = {"strides": (1, 1), "dilation": (1, 1), **node.attrs}
        requests, x = pad_request(node.inputs[0], attrs.pop("padding", NONE))
        del attrs["kernel"]
        partial = scratch((8, *node.outputs[0].shape))
        return [*requests, KernelRequest("depthwise", "backward_kernel", (x, node.inputs[1]), (*node.outputs, partial), attrs)]

    def flops(self, node: Node) -> int:
        return 2 * size((*node.outputs[0].shape[:2], *node.inputs[1].shape), 1)
