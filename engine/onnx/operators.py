"""Ops as ONNX nodes: one function for each op that a prediction graph may hold and that is not elementwise.

An op that belongs to training alone has none. A new op for layers needs one here: a test asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.errors import WeightsError
from engine.expressions import EXPRESSIONS
from engine.graph.ir import Node
from engine.onnx.expressions import Expression, OnnxMath
from engine.onnx.graph import ELEMENTS, OnnxGraph
from engine.ops.elementwise import Elementwise
from engine.ops.recurrent import recurrence
from engine.types import Batch

Written = Sequence[str]
Operator = Callable[[OnnxGraph, Node, list[str]], Written]
OPERATORS: dict[str, Operator] = {}
DIRECT = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "exp": "Exp", "log": "Log", "sqrt": "Sqrt",
          "abs": "Abs", "negative": "Neg", "softplus": "Softplus", "add": "Add", "subtract": "Sub", "multiply": "Mul",
          "divide": "Div", "sin": "Sin", "cos": "Cos"}
"""Elementwise ops that are one operator of ONNX."""
CHANNELS_FIRST, CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def write_node(graph: OnnxGraph, node: Node) -> None:
    """Append what computes a node's outputs. Raises WeightsError for an op that has no way into ONNX."""
    inputs = [graph.names[value] for value in node.inputs if value.role != "state"]
    name = node.op.name
    if name in OPERATORS:
        outputs = OPERATORS[name](graph, node, inputs)
    elif isinstance(node.op, Elementwise):
        outputs = [_elementwise(graph, node, inputs)]
    else:
        raise WeightsError(f"{node.origin}: the operation {name} cannot be written as ONNX")
    graph.names.update(zip(node.outputs, outputs, strict=False))


def operator(name: str) -> Callable[[Operator], Operator]:
    """Declare how the op of this name is written; outputs that only training reads may be left out."""

    def declare(function: Operator) -> Operator:
        OPERATORS[name] = function
        return function

    return declare


def _elementwise(graph: OnnxGraph, node: Node, inputs: list[str]) -> str:
    floats = [x if value.dtype == "float32" else graph.node("Cast", x, to=ELEMENTS["float32"])
              for x, value in zip(inputs, node.inputs, strict=True)]
    name = node.op.name
    if name in DIRECT and not node.attrs:
        return graph.node(DIRECT[name], *floats)
    m = OnnxMath(graph)
    result: Expression = EXPRESSIONS[name](m, *(Expression(m, x) for x in floats), **node.attrs)
    dtype = node.outputs[0].dtype
    return result.name if dtype == "float32" else graph.node("Cast", result.name, to=ELEMENTS[dtype])


def transposed(graph: OnnxGraph, x: str, permutation: Sequence[int]) -> str:
    """x with its dimensions in another order."""
    return graph.node("Transpose", x, perm=list(permutation))


def _windows(padding: Any = ((0, 0), (0, 0))) -> list[int]:
    """ONNX's order of padding: all beginnings, then all ends."""
    return [side[0] for side in padding] + [side[1] for side in padding]


@operator("matmul")
def _matmul(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    a, b = (transposed(graph, x, (1, 0)) if node.attrs.get(flag) else x
            for x, flag in zip(inputs, ("transpose_a", "transpose_b"), strict=True))
    return [graph.node("MatMul", a, b)]


@operator("batch_matmul")
def _batch_matmul(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    rank = len(node.inputs[0].shape)
    turned = (*range(rank - 2), rank - 1, rank - 2)
    a, b = (transposed(graph, x, turned) if node.attrs.get(flag) else x
            for x, flag in zip(inputs, ("transpose_a", "transpose_b"), strict=True))
    return [graph.node("MatMul", a, b)]


@operator("conv2d")
def _conv2d(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    attrs = node.attrs
    y = graph.node("Conv", transposed(graph, inputs[0], CHANNELS_FIRST), transposed(graph, inputs[1], (3, 2, 0, 1)),
                   kernel_shape=list(node.inputs[1].shape[:2]), strides=list(attrs.get("strides", (1, 1))),
                   dilations=list(attrs.get("dilation", (1, 1))), group=attrs.get("groups", 1),
                   pads=_windows(attrs.get("padding", ((0, 0), (0, 0)))))
    return [transposed(graph, y, CHANNELS_LAST)]


@operator("depthwise_conv2d")
def _depthwise(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    attrs, (height, width, channels, multiplier) = node.attrs, node.inputs[1].shape
    kernel = graph.node("Reshape", transposed(graph, inputs[1], (2, 3, 0, 1)),
                        graph.integers(channels * multiplier, 1, height, width))
    y = graph.node("Conv", transposed(graph, inputs[0], CHANNELS_FIRST), kernel, kernel_shape=[height, width],
                   strides=list(attrs.get("strides", (1, 1))), dilations=list(attrs.get("dilation", (1, 1))),
                   group=channels, pads=_windows(attrs.get("padding", ((0, 0), (0, 0)))))
    return [transposed(graph, y, CHANNELS_LAST)]


@operator("conv2d_backward_data")
def _transposed_convolution(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    """As the forward pass of a transposed convolution: what `size` has beyond the windows' reach is zeros."""
    attrs, kernel = node.attrs, node.inputs[1].shape
    strides, dilation = attrs.get("strides", (1, 1)), attrs.get("dilation", (1, 1))
    padding = attrs.get("padding", ((0, 0), (0, 0)))
    reach = [(node.inputs[0].shape[1 + d] - 1) * strides[d] + (kernel[d] - 1) * dilation[d] + 1 for d in (0, 1)]
    y = graph.node("ConvTranspose", transposed(graph, inputs[0], CHANNELS_FIRST),
                   transposed(graph, inputs[1], (3, 2, 0, 1)), kernel_shape=list(kernel[:2]), strides=list(strides),
                   dilations=list(dilation), group=attrs.get("groups", 1))
    begins = [padding[d][0] for d in (0, 1)]
    ends = [begins[d] + attrs["size"][d] for d in (0, 1)]
    missing = [max(0, ends[d] - reach[d]) for d in (0, 1)]
    if any(missing):
        y = graph.node("Pad", y, graph.integers(0, 0, 0, 0, 0, 0, *missing))
    y = graph.node("Slice", y, graph.integers(*begins), graph.integers(*ends), graph.integers(2, 3))
    return [transposed(graph, y, CHANNELS_LAST)]


@operator("max_pool2d")
def _max_pool(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    return [_pool(graph, "MaxPool", node, inputs)]


@operator("average_pool2d")
def _average_pool(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    return [_pool(graph, "AveragePool", node, inputs)]


def _pool(graph: OnnxGraph, operator: str, node: Node, inputs: list[str]) -> str:
    attrs = node.attrs
    y = graph.node(operator, transposed(graph, inputs[0], CHANNELS_FIRST), kernel_shape=list(attrs["pool"]),
                   strides=list(attrs["strides"]), pads=_windows(attrs.get("padding", ((0, 0), (0, 0)))))
    return transposed(graph, y, CHANNELS_LAST)


@operator("reshape")
def _reshape(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    shape = [-1 if isinstance(dim, Batch) else dim for dim in node.attrs["shape"]]
    return [graph.node("Reshape", inputs[0], graph.integers(*shape))]


@operator("transpose")
def _transpose(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    return [transposed(graph, inputs[0], node.attrs["permutation"])]


@operator("concatenate")
def _concatenate(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    return [graph.node("Concat", *inputs, axis=node.attrs["axis"])]


@operator("slice")
def _slice(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    start, stop, axis = (graph.integers(node.attrs[name]) for name in ("start", "stop", "axis"))
    return [graph.node("Slice", inputs[0], start, stop, axis)]


@operator("pad")
def _pad(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    value = graph.constant(node.attrs.get("value", 0.0))
    return [graph.node("Pad", inputs[0], graph.integers(*_windows(node.attrs["padding"])), value)]


@operator("broadcast")
def _broadcast(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    """By adding zeros of the shape; the batch's own length stays 1, and comes from what it meets."""
    axes, shape = node.attrs["axes"], node.attrs["shape"]
    x = inputs[0]
    if len(node.inputs[0].shape) < len(shape):
        x = graph.node("Unsqueeze", x, graph.integers(*axes))
    target = [1 if isinstance(dim, Batch) else dim for dim in shape]
    y = graph.node("Expand", x, graph.integers(*target))
    if node.attrs.get("mean"):
        count = 1
        for axis in axes:
            count *= target[axis]
        y = graph.node("Div", y, graph.constant(float(count)))
    return [y]


def _reduction(name: str, operator_name: str) -> None:
    @operator(name)
    def reduce(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
        return [graph.node(operator_name, inputs[0], graph.integers(*node.attrs["axes"]),
                           keepdims=int(node.attrs.get("keepdims", False)))]


_reduction("reduce_sum", "ReduceSum")
_reduction("reduce_mean", "ReduceMean")
_reduction("reduce_max", "ReduceMax")


@operator("softmax")
def _softmax(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    return [graph.node("Softmax", inputs[0], axis=-1)]


@operator("embedding")
def _embedding(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    rows = graph.node("Cast", inputs[1], to=ELEMENTS["int64"])
    return [graph.node("Gather", inputs[0], rows, axis=0)]


@operator("where")
def _where(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    condition = graph.node("Greater", inputs[0], graph.constant(0.0))
    return [graph.node("Where", condition, *inputs[1:])]


@operator("resample")
def _resample(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    """Repeated or left out positions are gathered; other sums are a product with the matrix of their weights."""
    axis, taps = node.attrs["axis"], node.attrs["taps"]
    if all(len(read) == 1 and read[0][1] == 1.0 for read in taps):
        return [graph.node("Gather", inputs[0], graph.integers(*(read[0][0] for read in taps)), axis=axis)]
    matrix = np.zeros((node.inputs[0].shape[axis], len(taps)), np.float32)
    for place, read in enumerate(taps):
        for source, weight in read:
            matrix[source, place] += weight
    order = [*(dim for dim in range(len(node.inputs[0].shape)) if dim != axis), axis]
    product = graph.node("MatMul", transposed(graph, inputs[0], order), graph.constant(matrix))
    return [transposed(graph, product, np.argsort(order).tolist())]


@operator("sparsemax")
def _sparsemax(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    """As the reference: sort, sums so far, how many are above their threshold, subtract it."""
    (x,), last = inputs, graph.integers(-1)
    count = node.inputs[0].shape[-1]
    ordered, _ = graph.nodes("TopK", [x, graph.integers(count)], 2, {"axis": -1, "largest": 1, "sorted": 1})
    sums = graph.node("CumSum", ordered, graph.constant(-1, "int64"))
    products = graph.node("Mul", ordered, graph.constant(np.arange(1, count + 1)))
    inside = graph.node("Cast", graph.node("Greater", products, graph.node("Sub", sums, graph.constant(1.0))),
                        to=ELEMENTS["float32"])
    total = graph.node("ReduceSum", graph.node("Mul", ordered, inside), last, keepdims=1)
    mean = graph.node("Div", graph.node("Sub", total, graph.constant(1.0)),
                      graph.node("ReduceSum", inside, last, keepdims=1))
    return [graph.node("Relu", graph.node("Sub", x, mean))]


@operator("row_norm")
def _row_norm(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    x, gamma, beta = inputs
    rank, width = len(node.inputs[0].shape), len(node.inputs[1].shape)
    axes = graph.integers(*range(rank - width, rank))
    if node.attrs["centered"]:
        x = graph.node("Sub", x, graph.node("ReduceMean", x, axes, keepdims=1))
    square = graph.node("ReduceMean", graph.node("Mul", x, x), axes, keepdims=1)
    deviation = graph.node("Sqrt", graph.node("Add", square, graph.constant(node.attrs["epsilon"])))
    return [graph.node("Add", graph.node("Mul", graph.node("Div", x, deviation), gamma), beta)]


@operator("recurrent")
def _recurrent(graph: OnnxGraph, node: Node, inputs: list[str]) -> Written:
    """Step by step, as the cell's own expressions say."""
    attrs, like = node.attrs, recurrence(node.attrs)
    units = node.inputs[1].shape[0]
    steps, masked, backwards = node.inputs[0].shape[1], attrs.get("masked"), attrs.get("backwards")
    sequences = [transposed(graph, inputs[0], (1, 0, 2))]
    if masked:
        sequences.append(graph.node("Unsqueeze", transposed(graph, inputs[-1], (1, 0)), graph.integers(2)))
    if backwards:
        sequences = [graph.node("Gather", x, graph.integers(*reversed(range(steps))), axis=0) for x in sequences]
    first = 2 + like.apart
    starts = inputs[first:first + like.states]
    if not attrs.get("initial"):
        batch = graph.node("Shape", inputs[0], start=0, end=1)
        shape = graph.node("Concat", batch, graph.integers(units), axis=0)
        starts = [graph.node("Expand", graph.constant(0.0), shape)] * like.states

    def step(body: OnnxGraph, states: list[str], given: list[str]) -> list[str]:
        m = OnnxMath(body)
        product = body.node("MatMul", states[0], inputs[1])
        if like.apart:
            product = body.node("Add", product, inputs[2])
        blocks = [[Expression(m, name) for name in body.nodes("Split", [x], like.gates, {
            "axis": 1, "num_outputs": like.gates})] for x in (given[0], product)]
        old = [Expression(m, name) for name in states]
        new, _ = like.forward(m, attrs.get("activation", "tanh"), attrs.get("gate", "sigmoid"), *blocks, old)
        if masked:
            keep = Expression(m, given[1]) > 0.0
            new = [m.where(keep, value, former) for value, former in zip(new, old, strict=True)]
        return [value.name for value in new]

    found = []
    for start, rest in zip(starts, graph.scan(starts, sequences, step), strict=True):
        states = graph.node("Concat", graph.node("Unsqueeze", start, graph.integers(0)), rest, axis=0)
        if backwards:
            states = graph.node("Gather", states, graph.integers(*reversed(range(steps + 1))), axis=0)
        found.append(transposed(graph, states, (1, 0, 2)))
    return found
