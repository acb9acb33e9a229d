"""Products with matrices, normalisations, tables, and what only moves numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from engine.onnx.taken.flow import BATCH, Array, Constant, Flow, straight
from engine.onnx.taken.node import Node, Taken, takes


@takes("Gemm")
def _gemm(node: Node) -> Flow:
    x, weight = node.flow(), node.constant(1)
    if x.rank != 1 or node.attributes.get("transA") or weight.array.ndim != 2:
        raise node.refuse("rows of features and a matrix", f"ranks {x.rank + 1} and {weight.array.ndim}")
    kernel = weight.array.T if node.attributes.get("transB") else weight.array
    bias = node.optional(2)
    offset = None
    if bias is not None:
        if bias.array.size not in (1, kernel.shape[1]):
            raise node.refuse(f"a bias of {kernel.shape[1]} numbers", f"shape {bias.array.shape}")
        offset = np.broadcast_to(bias.array.reshape(-1), kernel.shape[1:]) * node.number("beta", 1.0)
    return _dense(node, x, kernel * node.number("alpha", 1.0), offset, weight.name)


@takes("MatMul")
def _matmul(node: Node) -> Flow:
    x, weight = node.flow(), node.inputs[1]
    if isinstance(weight, Flow):
        return _product(node, x, node.flow(1))
    if weight is None or weight.array.ndim != 2:
        raise node.refuse("a matrix as input 1", "nothing" if weight is None else f"shape {weight.array.shape}")
    return _dense(node, x, weight.array, None, weight.name)


def _product(node: Node, x: Flow, y: Flow) -> Flow:
    """Of two values, as attention has it."""
    if x.rank != y.rank or x.rank < 2 or x.shape[:-2] != y.shape[:-2] or x.shape[-1] != y.shape[-2]:
        raise node.refuse("matrices that fit, for each place of equal further dimensions",
                          f"{(None, *x.shape)} and {(None, *y.shape)}")
    x, y = node.sketch.natural(x), node.sketch.natural(y)
    return node.sketch.add("ops.Matmul", [x, y], (*x.shape[:-1], y.shape[-1]), straight(x.rank))


def _dense(node: Node, x: Flow, kernel: Array, bias: Array | None, tensor: str) -> Flow:
    if kernel.shape[0] != x.shape[-1]:
        raise node.refuse(f"a matrix with {x.shape[-1]} rows", f"shape {kernel.shape}")
    if x.order[-1] != x.rank - 1:
        x = node.sketch.natural(x)
    rows = x.rows
    if rows is not None:
        moved = np.empty_like(kernel)
        moved[rows] = kernel
        kernel = moved
    weights = {"kernel": kernel, **({} if bias is None else {"bias": bias})}
    units = kernel.shape[1]
    made = node.sketch.add("Dense", [x], (*x.shape[:-1], units), x.order, weights=weights, tensors=(tensor,),
                           units=units, use_bias=bias is not None)
    return replace(made, biasless="" if bias is not None else made.layer)


@takes("BatchNormalization")
def _batch_normalization(node: Node) -> Flow:
    x = _normalised(node)
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    weights = {name: node.vector(place, x.shape[0]) for place, name in enumerate(names, 1)}
    return node.sketch.add("BatchNormalization", [x], x.shape, x.order, weights=weights,
                           tensors=tuple(node.constant(place).name for place in range(1, 5)),
                           epsilon=node.number("epsilon", 1e-5), momentum=node.number("momentum", 0.9))


@takes("InstanceNormalization", "GroupNormalization")
def _group_normalization(node: Node) -> Flow:
    x = _normalised(node)
    channels = x.shape[0]
    groups = channels if node.operator == "InstanceNormalization" else int(node.attributes["num_groups"])
    if groups < 1 or channels % groups:
        raise node.refuse(f"groups of {channels} channels", groups)
    size = groups if node.operator == "GroupNormalization" and node.opset < 21 else channels
    weights = {name: np.repeat(node.vector(place, size), channels // size)
               for place, name in enumerate(("gamma", "beta"), 1)}
    return node.sketch.add("GroupNormalization", [x], x.shape, x.order, weights=weights,
                           tensors=tuple(node.constant(place).name for place in (1, 2)), groups=groups,
                           epsilon=node.number("epsilon", 1e-5))


def _normalised(node: Node) -> Flow:
    x = node.flow()
    return node.sketch.images(x) if x.rank > 1 else node.sketch.unfolded(x)


@takes("LayerNormalization")
def _layer_normalization(node: Node) -> Flow:
    x = node.sketch.unfolded(node.flow())
    if int(node.attributes.get("axis", -1)) % (x.rank + 1) != x.rank:
        raise node.refuse("the last axis", f"axis {node.attributes['axis']}")
    if x.order[-1] != x.rank - 1:
        x = node.sketch.natural(x)
    weights = {"gamma": node.vector(1, x.shape[-1])}
    if beta := node.optional(2):
        weights["beta"] = node.vector(2, x.shape[-1])
    return node.sketch.add("LayerNormalization", [x], x.shape, x.order, weights=weights,
                           tensors=(node.constant(1).name,), epsilon=node.number("epsilon", 1e-5),
                           center=beta is not None)


@takes("Gather")
def _gather(node: Node) -> Flow:
    if isinstance(node.inputs[0], Flow):
        return _place(node)
    table, rows = node.inputs[0], node.flow(1)
    if not isinstance(table, Constant) or table.array.ndim != 2 or node.attributes.get("axis", 0) != 0:
        raise node.refuse("rows of a constant table (an embedding), or one place of a value", "another choice")
    rows = node.sketch.natural(rows)
    words, width = table.array.shape
    return node.sketch.add("Embedding", [rows], (*rows.shape, width), straight(rows.rank + 1),
                           weights={"embeddings": table.array}, tensors=(table.name,), input_dim=words,
                           output_dim=width)


def _place(node: Node) -> Flow:
    """One place of a dimension, which goes."""
    x, axis, index = node.flow(anyhow=True), int(node.attributes.get("axis", 0)), node.constant(1).array
    dim = x.dim(axis)
    if dim is None or index.ndim or not -x.shape[dim] <= int(index) < x.shape[dim]:
        raise node.refuse("one place of a dimension other than the batch",
                          f"axis {axis} and places of shape {index.shape}" if index.ndim else f"axis {axis}, {index}")
    found = _kept(node, node.sketch.natural(x), dim, int(index) % x.shape[dim])
    return replace(found, batch=x.batch - (axis % (x.rank + 1) < x.batch))


def _kept(node: Node, x: Flow, dim: int, item: int | tuple[int, int]) -> Flow:
    """A place or a slice of one dimension of a value as ONNX has it."""
    key = [[None, None]] * (dim + 1) + [item if isinstance(item, int) else list(item)]
    size = () if isinstance(item, int) else (item[1] - item[0],)
    shape = (*x.shape[:dim], *size, *x.shape[dim + 1:])
    if not shape:
        raise node.refuse("a dimension beside the batch to be left", "the only one taken")
    made = node.sketch.add("ops.GetItem", [x], shape, straight(len(shape)), key=key)
    return replace(made, nonnegative=x.nonnegative, batch=x.batch)


@takes("Slice")
def _slice(node: Node) -> Flow:
    x = node.flow(anyhow=True)
    starts, ends = (node.numbers(name, place) or [] for name, place in (("starts", 1), ("ends", 2)))
    axes = node.numbers("axes", 3)
    steps = node.optional(4)
    if steps is not None and (steps.array != 1).any():
        raise node.refuse("steps of 1", f"{steps.array.reshape(-1).tolist()}")
    x = node.sketch.natural(x)
    for axis, start, end in zip(range(len(starts)) if axes is None else axes, starts, ends, strict=True):
        dim = x.dim(axis)
        if dim is None:
            raise node.refuse("slices of dimensions other than the batch", f"axis {axis}")
        first, last, _ = slice(start, end).indices(x.shape[dim])
        if last <= first:
            raise node.refuse(f"a slice that holds something of {x.shape[dim]}", f"{start} to {end}")
        if last - first < x.shape[dim]:
            x = _kept(node, x, dim, (first, last))
    return x


@takes("Concat")
def _concat(node: Node) -> Flow:
    flows = [node.sketch.unfolded(node.flow(place, anyhow=True)) for place in range(len(node.inputs))]
    rank = flows[0].rank
    if any((flow.rank, flow.batch) != (rank, flows[0].batch) for flow in flows):
        raise node.refuse("values of equal rank", ", ".join(str((None, *flow.shape)) for flow in flows))
    dim = flows[0].dim(int(node.attributes["axis"]))
    if dim is None:
        raise node.refuse("an axis other than the batch", f"axis {node.attributes['axis']}")
    order = next((flow.order for flow in flows if flow.order != straight(rank)), flows[0].order)
    flows = [node.sketch.arranged(flow, order) for flow in flows]
    shape = list(flows[0].shape)
    shape[dim] = sum(flow.shape[dim] for flow in flows)
    if len(flows) == 1:
        return flows[0]
    made = node.sketch.add("Concatenate", flows, tuple(shape), order, axis=order[dim] + 1)
    return replace(made, nonnegative=all(flow.nonnegative for flow in flows), batch=flows[0].batch)


@takes("Identity", "Cast", "Dropout")
def _same(node: Node) -> Taken:
    x = node.flow(anyhow=True)
    if node.operator != "Dropout":
        return x
    ratio = node.optional(1)
    rate = float(ratio.array.reshape(-1)[0]) if ratio is not None else node.number("ratio", 0.5)
    if not 0 <= rate < 1:
        raise node.refuse("a ratio from 0 to below 1", rate)
    return replace(node.sketch.keep("Dropout", x, rate=rate), nonnegative=x.nonnegative, batch=x.batch)


@takes("Flatten")
def _flatten(node: Node) -> Flow:
    x = node.flow()
    if int(node.attributes.get("axis", 1)) % (x.rank + 1) != 1:
        raise node.refuse("axis 1", f"axis {node.attributes['axis']}")
    return node.sketch.reshaped(x, (int(np.prod(x.shape)),))


@takes("Reshape")
def _reshape(node: Node) -> Flow:
    x = node.flow(anyhow=True)
    given = [int(size) for size in node.constant(1).array.reshape(-1)]
    if not given:
        raise node.refuse("a shape with the batch", "none")
    if x.batch:
        return _reshaped_behind(node, x, given)
    whole = [None, *x.shape]
    sizes = [size if size != 0 or node.attributes.get("allowzero") else whole[place] if place < len(whole) else 0
             for place, size in enumerate(given)]
    rest = [int(size) if size is not None else 0 for size in sizes[1:]]
    numbers = int(np.prod(x.shape))
    if -1 in rest and sizes[0] != -1:
        known = int(np.prod([size for size in rest if size != -1]))
        rest = [numbers // max(known, 1) if size == -1 else size for size in rest]
    if any(size < 1 for size in rest) or int(np.prod(rest)) != numbers:
        raise node.refuse(f"a shape of {numbers} numbers for each example",
                          str(tuple("batch" if size == BATCH else size for size in given)))
    return node.sketch.reshaped(x, tuple(rest))


def _reshaped_behind(node: Node, x: Flow, given: list[int]) -> Flow:
    """Of a value whose batch is not in front: the numbers before the batch stay before it."""
    sizes = [x.whole[place] if size == 0 and place <= x.rank else size for place, size in enumerate(given)]
    if BATCH not in sizes and -1 in sizes:
        sizes[sizes.index(-1)] = BATCH
    before = sizes.index(BATCH) if BATCH in sizes else 0
    parts = [sizes[:before], sizes[before + 1:]]
    for part, old in zip(parts, (x.shape[:x.batch], x.shape[x.batch:]), strict=True):
        if -1 in part:
            part[part.index(-1)] = math.prod(old) // max(1, math.prod(size for size in part if size != -1))
    if [math.prod(part) for part in parts] != [math.prod(x.shape[:x.batch]), math.prod(x.shape[x.batch:])]:
        raise node.refuse("a shape that leaves the batch where it is",
                          str(tuple("batch" if size == BATCH else size for size in given)))
    plain = node.sketch.natural(replace(x, batch=0))
    return replace(node.sketch.reshaped(plain, tuple(parts[0] + parts[1])), batch=before)


@takes("Squeeze")
def _squeeze(node: Node) -> Flow:
    x = node.flow(anyhow=True)
    given = node.numbers("axes", 1)
    dims = {x.dim(axis) for axis in given} if given is not None else \
        {dim for dim, size in enumerate(x.shape) if size == 1}
    if any(dim is None or x.shape[dim] != 1 for dim in dims):
        raise node.refuse("axes of size 1", str(sorted(given or ())))
    left = tuple(size for dim, size in enumerate(x.shape) if dim not in dims)
    before = sum(dim is not None and dim < x.batch for dim in dims)
    return replace(node.sketch.reshaped(replace(x, batch=0), left), batch=x.batch - before)


@takes("Unsqueeze")
def _unsqueeze(node: Node) -> Flow:
    x = node.flow()
    given = node.numbers("axes", 1) or []
    axes = {axis % (x.rank + 1 + len(given)) for axis in given}
    if 0 in axes:
        raise node.refuse("axes other than the batch", str(sorted(axes)))
    sizes = iter(x.shape)
    return node.sketch.reshaped(x, tuple(1 if dim in axes else next(sizes)
                                         for dim in range(1, x.rank + 1 + len(axes))))


@takes("Transpose")
def _transpose(node: Node) -> Flow:
    x = node.flow(anyhow=True)
    perm = [int(dim) for dim in node.attributes.get("perm", range(x.rank, -1, -1))]
    if sorted(perm) != list(range(x.rank + 1)):
        raise node.refuse(f"an order of {x.rank + 1} dimensions", str(perm))
    dims = [dim for axis in perm if (dim := x.dim(axis)) is not None]
    batch = perm.index(x.batch)
    if x.rank == 1:
        return replace(x, batch=batch)
    return x.turned(tuple(x.shape[dim] for dim in dims), tuple(x.order[dim] for dim in dims), batch)
