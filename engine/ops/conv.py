"""Convolution over images (batch, height, width, channels) with kernels (height, width, channels / groups, filters)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from engine.graph.ir import GraphBuilder, Node, Value
from engine.lowering.request import (
    KernelRequest,
    panels_scratch,
    partial_scratch,
    scratch,
    winograd_gradient_scratch,
    winograd_scratch,
)
from engine.ops.base import Gradients, Op, Sample, ShapeMismatch, expect_rank, expect_shape, op
from engine.ops.matmul import finish, product
from engine.types import Shape, Type, known, size
from engine.windows import Pair, halo, output_size

Padding = tuple[Pair, Pair]
NONE: Padding = ((0, 0), (0, 0))


def padded(x: np.ndarray, padding: Padding, value: float = 0.0) -> np.ndarray:
    """The reference of padding height and width."""
    return np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=value)


def taps(
    shape: Shape, kernel: Sequence[int], strides: Pair, dilation: Pair, outputs: Sequence[int]
) -> Iterator[tuple[int, int, tuple[slice, ...]]]:
    """For the references: each kernel position with the slice of the padded input that it meets."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            top, left = i * dilation[0], j * dilation[1]
            yield i, j, (slice(None), slice(top, top + strides[0] * (outputs[0] - 1) + 1, strides[0]),
                         slice(left, left + strides[1] * (outputs[1] - 1) + 1, strides[1]))


def pad_request(x: Value, padding: Padding) -> tuple[list[KernelRequest], Value]:
    """The request that copies x into a padded buffer, if there is any padding."""
    if padding == NONE:
        return [], x
    n, h, w, c = x.shape
    buffer = scratch((n, h + sum(padding[0]), w + sum(padding[1]), c))
    attrs = {"padding": ((0, 0), *padding, (0, 0)), "value": 0.0}
    return [KernelRequest("memory", "pad", (x,), (buffer,), attrs)], buffer


def spatial(x: Type, kernel: Type, strides: Pair, padding: Padding, dilation: Pair) -> Pair:
    """Height and width of the output. Raises ShapeMismatch where the kernel does not fit into the image."""
    image, window = known(x.shape[1:3]), known(kernel.shape[:2])
    height, width = (output_size(image[d], window[d], strides[d], dilation[d], padding[d]) for d in (0, 1))
    if min(height, width) < 1:
        least = [(window[d] - 1) * dilation[d] + 1 for d in (0, 1)]
        have = [image[d] + sum(padding[d]) for d in (0, 1)]
        raise ShapeMismatch(
            f"an image of at least {least[0]} x {least[1]} pixels after padding", f"{have[0]} x {have[1]}"
        )
    return height, width


SETTINGS: tuple[dict[str, Any], ...] = (
    {}, {"padding": ((1, 1), (1, 1))}, {"strides": (2, 2), "padding": ((0, 1), (1, 1))},
    {"dilation": (2, 2), "padding": ((2, 2), (2, 2))}, {"strides": (3, 2)},
    {"strides": (2, 3), "dilation": (2, 2), "padding": ((2, 1), (1, 2))}, {"strides": (2, 1), "dilation": (3, 3)},
)


def _samples(*, backward: str = "") -> tuple[Sample, ...]:
    """The same settings for the three directions."""
    made = []
    cases = [((2, 9, 8, 3), (3, 3, 3, 5), settings) for settings in SETTINGS]
    cases += [
        ((2, 6, 7, 4), (1, 1, 4, 33), {}),
        ((2, 6, 7, 6), (3, 2, 2, 9), {"groups": 3, "padding": ((1, 1), (0, 1))}),
        ((1, 5, 5, 2), (1, 1, 2, 3), {"strides": (2, 2)}),
        ((19, 7, 7, 17), (3, 3, 17, 18), {}), ((2, 5, 6, 1), (3, 3, 1, 1), {}),
        ((3, 4, 4, 8), (5, 5, 8, 16), {"padding": ((2, 2), (2, 2))}),
        ((3, 9, 6, 16), (3, 3, 16, 48), {"padding": ((1, 1), (2, 0)), "winograd": 2}),
        ((11, 7, 13, 48), (3, 3, 48, 16), {"winograd": 4}), ((2, 9, 4, 32), (3, 3, 32, 32), {"winograd": 2}),
        ((3, 8, 9, 16), (3, 3, 16, 32), {"padding": ((1, 1), (1, 1)), "winograd": 4}),
    ]
    for x, kernel, settings in cases:
        strides, dilation = settings.get("strides", (1, 1)), settings.get("dilation", (1, 1))
        padding = settings.get("padding", NONE)
        outputs = tuple(output_size(x[1 + d], kernel[d], strides[d], dilation[d], padding[d]) for d in (0, 1))
        y = (x[0], *outputs, kernel[3])
        if backward == "data":
            made.append(Sample((y, kernel), {"size": x[1:3], **settings}))
        elif backward == "kernel":
            made.append(Sample((x, y), {"kernel": kernel[:2], **settings}, differentiable=()))
        else:
            made.append(Sample((x, kernel), settings))
    return tuple(made)


@op("conv2d")
class Conv2D(Op):
    """Cross-correlation as Keras's Conv2D. A fused node adds a bias (filters,) and applies `epilogue`."""

    samples = (
        *_samples(),
        Sample(((2, 5, 6, 3), (3, 3, 3, 20), (20,)), {"epilogue": (("relu", (0,), ()),)}, differentiable=()),
        Sample(((2, 5, 6, 16), (3, 3, 16, 16), (16,)), {"winograd": 4, "epilogue": (("relu", (0,), ()),)},
               differentiable=()),
    )

    def infer(
        self,
        *types: Type,
        strides: Pair = (1, 1),
        padding: Padding = NONE,
        dilation: Pair = (1, 1),
        groups: int = 1,
        epilogue: Any = (),
        winograd: int = 0,
    ) -> tuple[Type, ...]:
        x, kernel = types[:2]
        expect_rank(x, 4, "(batch, height, width, channels)")
        expect_rank(kernel, 4, "(height, width, channels / groups, filters)")
        per_group, filters = known(kernel.shape[2:])
        if x.shape[3] != per_group * groups or filters % groups:
            raise ShapeMismatch(f"a kernel for {x.shape[3]} channels in {groups} groups", kernel.shape)
        outputs = spatial(x, kernel, strides, padding, dilation)
        for bias in types[2:]:
            expect_shape("a bias", bias, kernel.shape[3:])
        return (Type((x.shape[0], *outputs, kernel.shape[3]), x.dtype),)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        x, kernel = node.inputs
        (g,) = grads
        assert g is not None
        return (b.op("conv2d_backward_data", g, kernel, size=tuple(x.shape[1:3]), **node.attrs),
                b.op("conv2d_backward_kernel", x, g, kernel=tuple(kernel.shape[:2]), **node.attrs))

    def reference(self, *arrays: np.ndarray, strides: Pair = (1, 1), padding: Padding = NONE, dilation: Pair = (1, 1),
                  groups: int = 1, epilogue: Any = (), winograd: int = 0) -> tuple[np.ndarray, ...]:
        x, kernel = padded(arrays[0], padding), arrays[1]
        outputs = tuple(output_size(x.shape[1 + d], kernel.shape[d], strides[d], dilation[d], (0, 0)) for d in (0, 1))
        y = np.zeros((x.shape[0], *outputs, kernel.shape[3]), x.dtype)
        cg, out = kernel.shape[2], kernel.shape[3] // groups
        for i, j, where in taps(x.shape, kernel.shape[:2], strides, dilation, outputs):
            for g in range(groups):
                y[..., g * out : (g + 1) * out] += (
                    x[where][..., g * cg : (g + 1) * cg] @ kernel[i, j][:, g * out : (g + 1) * out]
                )
        return (finish(y, arrays[2:], epilogue),)

    def lower(self, node: Node) -> list[KernelRequest]:
        attrs = dict(node.attrs)
        if node.attrs.get("winograd"):
            x, kernel, *bias = node.inputs
            return filtering(node, x, kernel, bias, attrs.get("padding", NONE))
        if _product(node):
            return [product(node)]
        requests, x = pad_request(node.inputs[0], attrs.pop("padding", NONE))
        return [*requests, KernelRequest("contract", "conv2d", (x, *node.inputs[1:]), node.outputs, _complete(attrs))]

    def flops(self, node: Node) -> int:
        return 2 * size((*node.inputs[1].shape[:3], *node.outputs[0].shape), 1)


def filtering(node: Node, x: Value, kernel: Value, bias: Sequence[Value], padding: Padding) -> list[KernelRequest]:
    """Winograd's algorithm: the kernel transformed, then the convolution of x by it."""
    tile = node.attrs["winograd"]
    _, _, channels, filters = known(kernel.shape)
    transformed, spare = winograd_scratch(tile, channels, filters)
    attrs = {"tile": tile, "padding": padding, "epilogue": node.attrs.get("epilogue", ())}
    return [KernelRequest("winograd", "kernel", (kernel,), (transformed,), {"tile": tile}),
            KernelRequest("winograd", "conv2d", (x, transformed, *bias), (*node.outputs, spare), attrs)]


def _product(node: Node) -> bool:
    """Whether a convolution by node's kernel is a product of matrices, of which the right one may be worth panels."""
    height, width, channels, filters = known(node.inputs[1].shape)
    plain = {"strides": (1, 1), "groups": 1, "padding": NONE}
    return (height, width) == (1, 1) and panels_scratch(channels, filters, needed=False) != () and all(
        node.attrs.get(name, value) == value for name, value in plain.items())


def _complete(attrs: dict[str, Any]) -> dict[str, Any]:
    return {"strides": (1, 1), "dilation": (1, 1), "groups": 1, **attrs}


@op("conv2d_backward_data")
class Conv2DBackwardData(Op):
    """Gradient of the image, of height and width `size`, from that of the output and the kernel."""

    samples = _samples(backward="data")

    def infer(self, *types: Type, size: Pair, strides: Pair = (1, 1), padding: Padding = NONE, dilation: Pair = (1, 1),
              groups: int = 1, winograd: int = 0) -> tuple[Type, ...]:
        g, kernel = types
        expect_rank(g, 4, "(batch, height, width, filters)")
        expect_rank(kernel, 4, "(height, width, channels / groups, filters)")
        x = Type((g.shape[0], *size, known(kernel.shape)[2] * groups), g.dtype)
        outputs = spatial(x, kernel, strides, padding, dilation)
        expect_shape("a gradient", g, (x.shape[0], *outputs, kernel.shape[3]))
        return (x,)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        """The derivatives of a transposed convolution are a convolution and a convolution's own kernel gradient."""
        y, kernel = node.inputs
        (g,) = grads
        assert g is not None
        attrs = {name: value for name, value in node.attrs.items() if name != "size"}
        return (b.op("conv2d", g, kernel, **attrs),
                b.op("conv2d_backward_kernel", g, y, kernel=tuple(kernel.shape[:2]), **attrs))

    def reference(self, *arrays: np.ndarray, size: Pair, strides: Pair = (1, 1), padding: Padding = NONE,
                  dilation: Pair = (1, 1), groups: int = 1, winograd: int = 0) -> tuple[np.ndarray, ...]:
        g, kernel = arrays
        (top, bottom), (left, right) = padding
        cg, out = kernel.shape[2], kernel.shape[3] // groups
        dx = np.zeros((g.shape[0], size[0] + top + bottom, size[1] + left + right, cg * groups), g.dtype)
        for i, j, where in taps(dx.shape, kernel.shape[:2], strides, dilation, g.shape[1:3]):
            for group in range(groups):
                part = slice(group * out, (group + 1) * out)
                dx[where][..., group * cg: (group + 1) * cg] += g[..., part] @ kernel[i, j][:, part].T
        return (dx[:, top: top + size[0], left: left + size[1]],)

    def lower(self, node: Node) -> list[KernelRequest]:
        g, kernel = node.inputs
        if _product(node):
            return [product(node, transpose_b=True)]
        attrs = _complete(dict(node.attrs))
        padding, sizes = attrs.pop("padding", NONE), attrs.pop("size")
        kh, kw, cg, out = kernel.shape
        turned = scratch((kh, kw, out, cg))
        turn = KernelRequest("memory", "transpose", (kernel,), (turned,), {"permutation": (0, 1, 3, 2), "flip": (0, 1)})
        if node.attrs.get("winograd"):
            around = [(kernel_size - 1 - pads[0], 0) for kernel_size, pads in zip((kh, kw), padding, strict=True)]
            return [turn, *filtering(node, g, turned, [], (around[0], around[1]))]
        before = (padding[0][0], padding[1][0])
        halos = tuple(
            halo(sizes[d], kernel.shape[d], attrs["strides"][d], attrs["dilation"][d], before[d], g.shape[1 + d])
            for d in (0, 1)
        )
        requests, surrounded = pad_request(g, halos)  # type: ignore[arg-type]
        return [
            *requests,
            turn,
            KernelRequest(
                "contract",
                "conv2d_backward_data",
                (surrounded, turned),
                node.outputs,
                {**attrs, "before": before, "outputs": tuple(g.shape[1:3])},
            ),
        ]

    def flops(self, node: Node) -> int:
        return 2 * size((*node.inputs[1].shape[:3], *node.inputs[0].shape), 1)


@op("conv2d_backward_kernel")
class Conv2DBackwardKernel(Op):
    """Gradient of the kernel, of height and width `kernel`, from the image and the gradient of the output."""

    samples = _samples(backward="kernel")

    def infer(
        self,
        *types: Type,
        kernel: Pair,
        strides: Pair = (1, 1),
        padding: Padding = NONE,
        dilation: Pair = (1, 1),
        groups: int = 1,
        winograd: int = 0,
    ) -> tuple[Type, ...]:
        x, g = types
        expect_rank(x, 4, "(batch, height, width, channels)")
        expect_rank(g, 4, "(batch, height, width, filters)")
        expect_shape("a gradient", g, (x.shape[0], *spatial(x, Type(kernel), strides, padding, dilation), g.shape[3]))
        return (Type((*kernel, known(x.shape[1:])[2] // groups, g.shape[3]), g.dtype),)

    def reference(self, *arrays: np.ndarray, kernel: Pair, strides: Pair = (1, 1), padding: Padding = NONE,
                  dilation: Pair = (1, 1), groups: int = 1, winograd: int = 0) -> tuple[np.ndarray, ...]:
        x, g = padded(arrays[0], padding), arrays[1]
        cg, out = x.shape[3] // groups, g.shape[3] // groups
        dk = np.zeros((*kernel, cg, g.shape[3]), g.dtype)
        for i, j, where in taps(x.shape, kernel, strides, dilation, g.shape[1:3]):
            for group in range(groups):
                part = slice(group * out, (group + 1) * out)
                dk[i, j][:, part] = np.tensordot(
                    x[where][..., group * cg : (group + 1) * cg], g[..., part], ((0, 1, 2), (0, 1, 2))
                )
        return (dk,)

    def lower(self, node: Node) -> list[KernelRequest]:
        x, g = node.inputs
        attrs = _complete(dict(node.attrs))
        padding = attrs.pop("padding", NONE)
        partial = partial_scratch(*node.outputs[0].shape, terms=x.shape[0])
        if tile := node.attrs.get("winograd"):
            _, _, channels, filters = known(node.outputs[0].shape)
            spare = (partial, *winograd_gradient_scratch(tile, channels, filters))
            return [KernelRequest("winograd", "conv2d_backward_kernel", (x, g), (*node.outputs, *spare),
                                  {"tile": tile, "padding": padding})]
        requests, x = pad_request(x, padding)
        del attrs["kernel"]
        return [*requests, KernelRequest("contract", "conv2d_backward_kernel", (x, g), (*node.outputs, partial), attrs)]

    def flops(self, node: Node) -> int:
        return 2 * size((*node.outputs[0].shape[:3], *node.inputs[1].shape), 1)
