"""Fold constants: nodes that read only constants are computed now.

Multiplications by one and reshapes to the same shape vanish; products with a number become `scale`.
"""

from __future__ import annotations

import numpy as np

from engine.graph.ir import Graph, Node, Value, rebuild
from engine.ops.base import find

LIMIT = 65_536
"""Elements above which a result is left to be computed at run time."""


def fold_constants(graph: Graph) -> Graph:
    """The same values, some of them constants."""
    renamed: dict[Value, Value] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(renamed.get(value, value) for value in node.inputs)
        if not node.op.effect and inputs and all(value.role == "constant" for value in inputs) and _small(node):
            arrays = [value.data for value in inputs if value.data is not None]
            results = node.op.reference(*arrays, **node.attrs)
            for output, result in zip(node.outputs, results, strict=True):
                data = np.ascontiguousarray(result, dtype=output.dtype).reshape(result.shape)
                renamed[output] = Value(output.type, "constant", data=data)
        elif (same := _identity(node, inputs)) is not None:
            renamed[node.outputs[0]] = same
        elif (scaled := _scaled(node, inputs)) is not None:
            kept.append(scaled)
        else:
            kept.append(Node(node.op, inputs, node.attrs, node.outputs, node.origin) if inputs != node.inputs else node)
    return rebuild(graph, kept, renamed)


def _small(node: Node) -> bool:
    return all(
        all(isinstance(dim, int) for dim in output.shape) and np.prod(output.shape, initial=1) <= LIMIT
        for output in node.outputs
    )


def _number(value: Value) -> float | None:
    """The number of a scalar constant."""
    return float(value.data) if value.role == "constant" and value.data is not None and value.data.ndim == 0 else None


def _identity(node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """The input that a node hands on unchanged. x + 0 is not one: it turns -0 into 0."""
    if node.op.name == "multiply":
        for value, other in ((inputs[0], inputs[1]), (inputs[1], inputs[0])):
            if _number(other) == 1.0 and value.type == node.outputs[0].type:
                return value
    if (
        node.op.name == "scale"
        and node.attrs.get("factor", 1.0) == 1.0
        and not node.attrs.get("offset", 0.0)
        and inputs[0].type == node.outputs[0].type
    ):
        return inputs[0]
    if node.op.name == "reshape" and inputs[0].type == node.outputs[0].type:
        return inputs[0]
    return None


def _scaled(node: Node, inputs: tuple[Value, ...]) -> Node | None:
    """A product with a number as `scale`, which needs no second operand."""
    if node.op.name != "multiply":
        return None
    for value, other in ((inputs[0], inputs[1]), (inputs[1], inputs[0])):
        number = _number(other)
        if number is not None and value.type == node.outputs[0].type:
            return Node(find("scale"), (value,), {"factor": number}, node.outputs, node.origin)
    return None
