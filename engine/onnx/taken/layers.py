"""Products with matrices, normalisations, tables, and what only moves numbers."""

from __future__ import annotations

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
    if not isinstance(weight, Constant) or weight.array.ndim != 2:
        raise node.refuse("a constant matrix as input 1", "another value")
    return _dense(node, x, weight.array, None, weight.name)


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
    table, rows = node.inputs[0], node.flow(1)
    if not isinstance(table, Constant) or table.array.ndim != 2 or node.attributes.get("axis", 0) != 0:
        raise node.refuse("rows of a constant table (an embedding)", "another choice")
    rows = node.sketch.natural(rows)
    words, width = table.array.shape
    return node.sketch.add("Embedding", [rows], (*rows.shape, width), straight(rows.rank + 1),
                           weights={"embeddings": table.array}, tensors=(table.name,), input_dim=words,
                           output_dim=width)


@takes("Concat")
def _concat(node: Node) -> Flow:
    flows = [node.sketch.unfolded(node.flow(place)) for place in range(len(node.inputs))]
    rank = flows[0].rank
    if any(flow.rank != rank for flow in flows):
        raise node.refuse("values of equal rank", ", ".join(str((None, *flow.shape)) for flow in flows))
    axis = int(node.attributes["axis"]) % (rank + 1)
    if axis == 0:
        raise node.refuse("an axis other than the batch", "axis 0")
    order = next((flow.order for flow in flows if flow.order != straight(rank)), flows[0].order)
    flows = [node.sketch.arranged(flow, order) for flow in flows]
    shape = list(flows[0].shape)
    shape[axis - 1] = sum(flow.shape[axis - 1] for flow in flows)
    if len(flows) == 1:
        return flows[0]
    made = node.sketch.add("Concatenate", flows, tuple(shape), order, axis=order[axis - 1] + 1)
    return replace(made, nonnegative=all(flow.nonnegative for flow in flows))


@takes("Identity", "Cast", "Dropout")
def _same(node: Node) -> Taken:
    x = node.flow()
    if node.operator != "Dropout":
        return x
    ratio = node.optional(1)
    rate = float(ratio.array.reshape(-1)[0]) if ratio is not None else node.number("ratio", 0.5)
    if not 0 <= rate < 1:
        raise node.refuse("a ratio from 0 to below 1", rate)
    return replace(node.sketch.keep("Dropout", x, rate=rate), nonnegative=x.nonnegative)


@takes("Flatten")
def _flatten(node: Node) -> Flow:
    x = node.flow()
    if int(node.attributes.get("axis", 1)) % (x.rank + 1) != 1:
        raise node.refuse("axis 1", f"axis {node.attributes['axis']}")
    return node.sketch.reshaped(x, (int(np.prod(x.shape)),))


@takes("Reshape")
def _reshape(node: Node) -> Flow:
    x = node.flow()
    given = [int(size) for size in node.constant(1).array.reshape(-1)]
    if not given:
        raise node.refuse("a shape with the batch", "none")
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


@takes("Squeeze")
def _squeeze(node: Node) -> Flow:
    x = node.flow()
    given = node.numbers("axes", 1)
    axes = {axis % (x.rank + 1) for axis in given} if given is not None else \
        {dim + 1 for dim, size in enumerate(x.shape) if size == 1}
    if 0 in axes or any(x.shape[axis - 1] != 1 for axis in axes):
        raise node.refuse("axes of size 1", str(sorted(axes)))
    return node.sketch.reshaped(x, tuple(size for dim, size in enumerate(x.shape) if dim + 1 not in axes))


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
    x = node.flow()
    perm = [int(dim) for dim in node.attributes.get("perm", range(x.rank, -1, -1))]
    if sorted(perm) != list(range(x.rank + 1)) or perm[0] != 0:
        raise node.refuse("an order that leaves the batch in front", str(perm))
    if x.rank == 1:
        return x
    return x.turned(tuple(x.shape[dim - 1] for dim in perm[1:]), tuple(x.order[dim - 1] for dim in perm[1:]))
