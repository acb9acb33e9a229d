"""Reverse-mode differentiation inside the graph: gradients are nodes like any others.

Each op's `vjp` gives the gradients of its inputs in IR ops; where a value is used several times they are added in the
order of its users from last to first.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.graph.ir import GraphBuilder, Node, Value


def gradients(b: GraphBuilder, loss: Value, wanted: Sequence[Value]) -> list[Value]:
    """Append the gradient nodes of `loss`, a scalar, and return d loss / d value for each wanted value.

    A value that the loss does not depend on gets zeros.
    """
    forward = list(b.nodes)
    relevant = _depending(forward, wanted)
    total: dict[Value, Value] = {loss: b.constant(1.0)}
    for node in reversed(forward):
        grads = [total.get(output) for output in node.outputs]
        if all(grad is None for grad in grads) or not any(value in relevant for value in node.inputs):
            continue
        b.origin = node.origin
        for value, grad in zip(node.inputs, node.op.vjp(b, node, grads), strict=True):
            if grad is None or value not in relevant:
                continue
            total[value] = b.op("add", total[value], grad) if value in total else grad
    b.origin = ""
    return [total[value] if value in total else _zeros(b, value) for value in wanted]


def _depending(nodes: Sequence[Node], wanted: Sequence[Value]) -> set[Value]:
    """The values that depend on any of the wanted ones, these included."""
    relevant = set(wanted)
    for node in nodes:
        if any(value in relevant for value in node.inputs):
            relevant.update(node.outputs)
    return relevant


def _zeros(b: GraphBuilder, value: Value) -> Value:
    return b.op("scale", value, factor=0.0)
