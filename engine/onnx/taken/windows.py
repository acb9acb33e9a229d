"""Convolutions, poolings, borders and resizing: windows over images, sequences and volumes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from engine.layers.window import window_padding
from engine.onnx.taken.flow import Flow, Shape, channels_last, straight
from engine.onnx.taken.node import Node, takes

Pads = tuple[tuple[int, int], ...]


def _images(node: Node, place: int = 0) -> Flow:
    """The input with its channels last. Raises WeightsError for other ranks than those of layers."""
    x = node.flow(place)
    if not 2 <= x.rank <= 4:
        raise node.refuse("an input (batch, channels, …) with 1 to 3 spatial dimensions", f"rank {x.rank + 1}")
    return node.sketch.images(x)


def _sizes(node: Node, name: str, rank: int, default: int = 1) -> Shape:
    sizes = tuple(int(size) for size in node.attributes.get(name, (default,) * rank))
    if len(sizes) != rank or any(size < 1 for size in sizes):
        raise node.refuse(f"{rank} sizes as {name}", str(sizes))
    return sizes


def _pads(node: Node, x: Flow, kernel: Shape, strides: Shape, dilations: Shape) -> Pads:
    """What stands around each spatial dimension."""
    rank, auto = x.rank - 1, node.attributes.get("auto_pad", "NOTSET")
    if auto in ("NOTSET", ""):
        pads = [int(pad) for pad in node.attributes.get("pads", (0,) * 2 * rank)]
        if len(pads) != 2 * rank or any(pad < 0 for pad in pads):
            raise node.refuse(f"{2 * rank} pads from 0", str(pads))
        return tuple((pads[dim], pads[rank + dim]) for dim in range(rank))
    if auto == "VALID":
        return ((0, 0),) * rank
    same = window_padding("same", x.shape[1:], kernel, strides, dilations)
    return same if auto == "SAME_UPPER" else tuple((end, begin) for begin, end in same)


def _reach(node: Node, x: Flow, kernel: Shape, strides: Shape, dilations: Shape, pads: Pads) -> Shape:
    sizes = tuple((size + sum(pad) - (window - 1) * step - 1) // stride + 1 for size, pad, window, stride, step
                  in zip(x.shape[1:], pads, kernel, strides, dilations, strict=True))
    if any(size < 1 for size in sizes):
        raise node.refuse("windows that fit into the input", f"{kernel} for {x.shape[1:]}")
    return sizes


def _bordered(node: Node, x: Flow, pads: Pads) -> Flow:
    """Zeros around an image."""
    sizes = tuple(size + sum(pad) for size, pad in zip(x.shape[1:], pads, strict=True))
    padding: Any = [list(pad) for pad in pads] if len(pads) > 1 else list(pads[0])
    made = node.sketch.add(f"ZeroPadding{len(pads)}D", [x], (x.shape[0], *sizes), x.order, padding=padding)
    return replace(made, nonnegative=x.nonnegative)


def _around(node: Node, x: Flow, kernel: Shape, strides: Shape, dilations: Shape, pads: Pads) -> tuple[Flow, str]:
    """The input with its borders, and Keras's word for what is left to add."""
    if not any(map(any, pads)):
        return x, "valid"
    if pads == window_padding("same", x.shape[1:], kernel, strides, dilations):
        return x, "same"
    return _bordered(node, x, pads), "valid"


@takes("Conv")
def _conv(node: Node) -> Flow:
    x, weight = _images(node), node.constant(1)
    rank, array, groups = x.rank - 1, weight.array, int(node.attributes.get("group", 1))
    if array.ndim != rank + 2 or groups < 1 or array.shape[1] * groups != x.shape[0] or array.shape[0] % groups:
        raise node.refuse(f"a kernel (out, {x.shape[0]} / groups, …) of rank {rank + 2}",
                          f"{array.shape} in {groups} groups")
    kernel = array.shape[2:]
    strides, dilations = (_sizes(node, name, rank) for name in ("strides", "dilations"))
    pads = _pads(node, x, kernel, strides, dilations)
    sizes = _reach(node, x, kernel, strides, dilations, pads)
    x, padding = _around(node, x, kernel, strides, dilations, pads)
    bias = node.optional(2)
    options: dict[str, Any] = {"kernel_size": list(kernel), "strides": list(strides), "padding": padding,
                               "dilation_rate": list(dilations), "use_bias": bias is not None}
    filters = array.shape[0]
    if groups == x.shape[0] > 1 and rank < 3 and len(set(strides)) == 1:
        type, moved = f"DepthwiseConv{rank}D", array.reshape(groups, filters // groups, *kernel)
        options["depth_multiplier"] = filters // groups
        weights = {"kernel": np.moveaxis(moved, (0, 1), (-2, -1))}
    else:
        type, weights = f"Conv{rank}D", {"kernel": np.moveaxis(array, (1, 0), (-2, -1))}
        options.update(filters=filters, groups=groups)
    if bias is not None:
        weights["bias"] = node.vector(2, filters)
    made = node.sketch.add(type, [x], (filters, *sizes), x.order, weights=weights, tensors=(weight.name,), **options)
    return replace(made, biasless="" if bias else made.layer)


@takes("ConvTranspose")
def _conv_transpose(node: Node) -> Flow:
    x, weight = _images(node), node.constant(1)
    rank, array = x.rank - 1, weight.array
    if node.attributes.get("group", 1) != 1:
        raise node.refuse("group 1", f"group {node.attributes['group']}")
    if node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or "output_shape" in node.attributes:
        raise node.refuse("explicit pads", "auto_pad or output_shape")
    if array.ndim != rank + 2 or array.shape[0] != x.shape[0]:
        raise node.refuse(f"a kernel ({x.shape[0]}, out, …) of rank {rank + 2}", str(array.shape))
    kernel, filters = array.shape[2:], array.shape[1]
    strides, dilations = (_sizes(node, name, rank) for name in ("strides", "dilations"))
    more = tuple(int(size) for size in node.attributes.get("output_padding", (0,) * rank))
    pads = _pads(node, x, kernel, strides, dilations)
    whole = tuple((size - 1) * stride + (window - 1) * step + 1 + extra for size, stride, window, step, extra
                  in zip(x.shape[1:], strides, kernel, dilations, more, strict=True))
    bias = node.optional(2)
    weights = {"kernel": np.moveaxis(array, (1, 0), (-2, -1))}
    if bias is not None:
        weights["bias"] = node.vector(2, filters)
    made = node.sketch.add(f"Conv{rank}DTranspose", [x], (filters, *whole), x.order, weights=weights,
                           tensors=(weight.name,), filters=filters, kernel_size=list(kernel), strides=list(strides),
                           dilation_rate=list(dilations), output_padding=list(more), use_bias=bias is not None)
    if not any(map(any, pads)):
        return made
    sizes = tuple(size - sum(pad) for size, pad in zip(whole, pads, strict=True))
    cropping: Any = [list(pad) for pad in pads] if rank > 1 else list(pads[0])
    return node.sketch.add(f"Cropping{rank}D", [made], (filters, *sizes), x.order, cropping=cropping)


@takes("MaxPool", "AveragePool")
def _pool(node: Node) -> Flow:
    x, largest = _images(node), node.operator == "MaxPool"
    rank = x.rank - 1
    kernel, strides, dilations = (_sizes(node, name, rank) for name in ("kernel_shape", "strides", "dilations"))
    if set(dilations) != {1}:
        raise node.refuse("a pooling without dilation", str(dilations))
    pads = _pads(node, x, kernel, strides, dilations)
    if node.attributes.get("ceil_mode"):
        pads, plain = _ceiled(x, kernel, strides, pads), pads
        if pads != plain and not largest:
            raise node.refuse("ceil_mode that changes nothing", "windows beyond the border")
    sizes = _reach(node, x, kernel, strides, dilations, pads)
    zeros = any(map(any, pads))
    counted = bool(node.attributes.get("count_include_pad")) and not largest
    if zeros and counted:
        x, padding = _bordered(node, x, pads), "valid"
    elif zeros and largest and x.nonnegative:
        x, padding = _around(node, x, kernel, strides, dilations, pads)
    elif zeros and pads != window_padding("same", x.shape[1:], kernel, strides):
        raise node.refuse("pads like Keras's `same`, a maximum after a ReLU, or count_include_pad", str(pads))
    else:
        padding = "same" if zeros else "valid"
    made = node.sketch.add(f"{'Max' if largest else 'Average'}Pooling{rank}D", [x], (x.shape[0], *sizes), x.order,
                           pool_size=list(kernel), strides=list(strides), padding=padding)
    return replace(made, nonnegative=x.nonnegative)


def _ceiled(x: Flow, kernel: Shape, strides: Shape, pads: Pads) -> Pads:
    """Pads with which windows that only begin inside count, too."""
    found = []
    for size, window, stride, (begin, end) in zip(x.shape[1:], kernel, strides, pads, strict=True):
        count = -(-(size + begin + end - window) // stride) + 1
        count -= (count - 1) * stride >= size + begin
        found.append((begin, max(end, (count - 1) * stride + window - size - begin)))
    return tuple(found)


@takes("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(node: Node) -> Flow:
    x = _images(node)
    return pooled(node, x, 0, "Average" if node.operator == "GlobalAveragePool" else "Max", keep=True)


def pooled(node: Node, x: Flow, kept: int, what: str, *, keep: bool) -> Flow:
    """The mean or largest value over all dimensions but one of ONNX's."""
    others = [dim for dim in range(x.rank) if dim != kept]
    order = [0] * x.rank
    for place, dim in enumerate([*others, kept]):
        order[dim] = place
    x = node.sketch.arranged(x, x.order if x.order[kept] == x.rank - 1 else tuple(order))
    shape = tuple(size if dim == kept else 1 for dim, size in enumerate(x.shape)) if keep else (x.shape[kept],)
    made = node.sketch.add(f"Global{what}Pooling{x.rank - 1}D", [x], shape, x.order if keep else (0,), keepdims=keep)
    return replace(made, nonnegative=x.nonnegative)


@takes("ReduceMean", "ReduceMax")
def _reduce(node: Node) -> Flow:
    x = node.sketch.unfolded(node.flow())
    given = node.numbers("axes", 1) or list(range(1, x.rank + 1))
    axes = {axis % (x.rank + 1) for axis in given}
    kept = [dim for dim in range(x.rank) if dim + 1 not in axes]
    if 0 in axes or len(kept) != 1 or not 2 <= x.rank <= 4:
        raise node.refuse("all axes but the batch and one", str(sorted(axes)))
    what = "Average" if node.operator == "ReduceMean" else "Max"
    return pooled(node, x, kept[0], what, keep=bool(node.attributes.get("keepdims", 1)))


@takes("Pad")
def _pad(node: Node) -> Flow:
    x = node.sketch.unfolded(node.flow())
    value = node.optional(2)
    if node.attributes.get("mode", "constant") != "constant" or (value is not None and value.array.any()) \
            or node.number("value", 0.0):
        raise node.refuse("a border of zeros", str(node.attributes.get("mode", "another constant")))
    given, axes = node.numbers("pads", 1) or [], node.numbers("axes", 3)
    dims = [axis % (x.rank + 1) for axis in axes] if axes is not None else list(range(len(given) // 2))
    pads = [(0, 0)] * (x.rank + 1)
    for place, dim in enumerate(dims):
        pads[dim] = (given[place], given[place + len(dims)])
    if not any(map(any, pads)):
        return x
    if 2 <= x.rank <= 4 and x.order != channels_last(x.rank) and any(pads[1]):
        x = node.sketch.arranged(x, straight(x.rank))
    elif 2 <= x.rank <= 4:
        x = node.sketch.images(x)
    still = [dim for dim in range(x.rank) if x.order[dim] == x.rank - 1]
    if any(pads[0]) or x.rank < 2 or any(pads[still[0] + 1]) or any(pad < 0 for pair in pads for pad in pair):
        raise node.refuse("zeros around spatial dimensions", str(pads))
    here: list[tuple[int, int]] = [(0, 0)] * x.rank
    for dim, place in enumerate(x.order):
        here[place] = pads[dim + 1]
    padding: Any = [list(pad) for pad in here[:-1]] if x.rank > 2 else list(here[0])
    shape = tuple(size + sum(pads[dim + 1]) for dim, size in enumerate(x.shape))
    made = node.sketch.add(f"ZeroPadding{x.rank - 1}D", [x], shape, x.order, padding=padding)
    return replace(made, nonnegative=x.nonnegative)


@takes("Resize", "Upsample")
def _resize(node: Node) -> Flow:
    x = _images(node)
    mode = str(node.attributes.get("mode", "nearest"))
    place = {"coordinate_transformation_mode": "half_pixel", **node.attributes}["coordinate_transformation_mode"]
    place = "asymmetric" if node.operator == "Upsample" else place
    scales = node.optional(2 if node.operator == "Resize" else 1)
    sizes = node.optional(3) if node.operator == "Resize" else None
    if sizes is not None and sizes.array.size == x.rank + 1:
        factors = [float(size) / old for size, old in zip(sizes.array[2:], x.shape[1:], strict=True)]
    elif scales is not None and scales.array.size == x.rank + 1:
        factors = [float(scale) for scale in scales.array[2:]]
    else:
        raise node.refuse("constant scales or sizes of all dimensions", "others")
    size = [int(factor) for factor in factors]
    if size != factors or any(each < 1 for each in size):
        raise node.refuse("whole factors", str(factors))
    nearest = mode == "nearest" and (
        (place == "asymmetric" and node.attributes.get("nearest_mode", "round_prefer_floor") == "floor")
        or node.operator == "Upsample"
        or (place in ("half_pixel", "pytorch_half_pixel")
            and node.attributes.get("nearest_mode", "round_prefer_floor") == "round_prefer_floor"))
    linear = mode == "linear" and x.rank == 3 and place in ("half_pixel", "pytorch_half_pixel")
    if not nearest and not (linear and not node.attributes.get("antialias")):
        raise node.refuse("nearest or linear interpolation between half pixels", f"{mode} ({place})")
    options: dict[str, Any] = {"size": size if len(size) > 1 else size[0]}
    if linear:
        options["interpolation"] = "bilinear"
    shape = (x.shape[0], *(old * by for old, by in zip(x.shape[1:], size, strict=True)))
    return replace(node.sketch.add(f"UpSampling{len(size)}D", [x], shape, x.order, **options),
                   nonnegative=x.nonnegative)
