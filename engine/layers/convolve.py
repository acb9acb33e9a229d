"""Convolutions over one, two and three dimensions, made of those over images.

What they return is in image form (see `engine.layers.window`): biases and activations join it before it gets its shape.
"""

from __future__ import annotations

from typing import Any

from engine.graph.ir import GraphBuilder, Value
from engine.layers.window import Padding, Sizes, flat, image
from engine.ops.base import ShapeMismatch
from engine.types import times
from engine.windows import output_size


def convolve(b: GraphBuilder, x: Value, kernel: Value, *, strides: Sizes, padding: Padding, dilation: Sizes,
             op: str = "conv2d", **attrs: Any) -> Value:
    """x (batch, *sizes, channels) by kernel (*window, …). `op` is conv2d or depthwise_conv2d."""
    if len(strides) == 3:
        return _volume(b, x, kernel, strides, padding, dilation, attrs)
    if len(strides) == 1:
        kernel = b.op("reshape", kernel, shape=(1, *kernel.shape))
    return b.op(op, image(b, x), kernel, strides=flat(strides, 1), padding=flat(padding, (0, 0)),
                dilation=flat(dilation, 1), **attrs)


def convolve_transposed(b: GraphBuilder, x: Value, kernel: Value, *, sizes: Sizes, strides: Sizes, padding: Padding,
                        dilation: Sizes) -> Value:
    """What a convolution of this kernel (*window, filters, channels) hands back to an input of these `sizes`."""
    if len(strides) == 3:
        return _volume_transposed(b, x, kernel, sizes, strides, padding, dilation)
    if len(strides) == 1:
        kernel = b.op("reshape", kernel, shape=(1, *kernel.shape))
    return b.op("conv2d_backward_data", image(b, x), kernel, size=flat(sizes, 1), strides=flat(strides, 1),
                padding=flat(padding, (0, 0)), dilation=flat(dilation, 1))


def _plane(b: GraphBuilder, kernel: Value, depth: int) -> Value:
    """One plane of a kernel (depth, height, width, in, out)."""
    return b.op("reshape", b.op("slice", kernel, axis=0, start=depth, stop=depth + 1), shape=kernel.shape[1:])


def _volume(b: GraphBuilder, x: Value, kernel: Value, strides: Sizes, padding: Padding, dilation: Sizes,
            attrs: dict[str, Any]) -> Value:
    """The sum over the kernel's planes of convolutions of the volume's planes."""
    batch, depth, *rest = x.shape
    window, stride, step, (front, back) = kernel.shape[0], strides[0], dilation[0], padding[0]
    positions = output_size(depth, window, stride, step, (front, back))
    if positions < 1:
        raise ShapeMismatch(f"a volume of depth {(window - 1) * step + 1} or more after padding",
                            f"{depth + front + back}")
    needed = (window - 1) * step + positions * stride
    x = b.op("pad", x, padding=((0, 0), (front, max(back, needed - depth - front)), *((0, 0),) * 3))
    total: Value | None = None
    for number in range(window):
        part = b.op("slice", x, axis=1, start=number * step, stop=number * step + positions * stride)
        if stride > 1:
            part = b.op("reshape", part, shape=(times(batch, positions), stride, *rest))
            part = b.op("slice", part, axis=1, start=0, stop=1)
        part = b.op("reshape", part, shape=(times(batch, positions), *rest))
        part = b.op("conv2d", part, _plane(b, kernel, number), strides=strides[1:], padding=padding[1:],
                    dilation=dilation[1:], **attrs)
        total = part if total is None else b.op("add", total, part)
    assert total is not None
    return total


def _volume_transposed(b: GraphBuilder, x: Value, kernel: Value, sizes: Sizes, strides: Sizes, padding: Padding,
                       dilation: Sizes) -> Value:
    """Every plane of the kernel spreads the volume's planes; they are added up where they fall."""
    batch, depth = x.shape[:2]
    window, stride, step, front = kernel.shape[0], strides[0], dilation[0], padding[0][0]
    length = max(depth * stride + (window - 1) * step, front + sizes[0])
    total: Value | None = None
    for number in range(window):
        part = b.op("conv2d_backward_data", image(b, x), _plane(b, kernel, number), size=sizes[1:],
                    strides=strides[1:], padding=padding[1:], dilation=dilation[1:])
        rest = part.shape[1:]
        if stride > 1:
            part = b.op("reshape", part, shape=(part.shape[0], 1, *rest))
            part = b.op("pad", part, padding=((0, 0), (0, stride - 1), *((0, 0),) * 3))
        part = b.op("reshape", part, shape=(batch, depth * stride, *rest))
        before = number * step
        part = b.op("pad", part, padding=((0, 0), (before, length - before - depth * stride), *((0, 0),) * 3))
        total = part if total is None else b.op("add", total, part)
    assert total is not None
    return image(b, b.op("slice", total, axis=1, start=front, stop=front + sizes[0]))
