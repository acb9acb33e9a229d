"""Products of attention's heads read and write (batch, steps, heads, features) themselves.

Projections give that order, and products are over (batch, heads, steps, features): a transposition between the two is
no more than other strides.
"""

from __future__ import annotations

from typing import Any

from engine.graph.ir import Graph, Node, Value, rebuild

EXCHANGE = (0, 2, 1, 3)


def fold_heads(graph: Graph) -> Graph:
    """`transpose` of heads and steps before a `batch_matmul`, and behind it where nobody else reads its result."""
    users, outputs = graph.users(), set(graph.outputs.values())
    producers: dict[Value, Node] = {}
    kept: dict[Node, None] = {}
    for node in graph.nodes:
        made = producers.get(node.inputs[0]) if node.inputs else None
        if node.op.name == "batch_matmul":
            node = _reading(node, producers)
        elif (_exchanges(node) and made is not None and made.op.name == "batch_matmul"
              and len(users[node.inputs[0]]) == 1 and node.inputs[0] not in outputs):
            del kept[made]
            node = Node(made.op, made.inputs, _with(made, 2), node.outputs, made.origin)
        kept[node] = None
        producers |= dict.fromkeys(node.outputs, node)
    return rebuild(graph, kept)


def _exchanges(node: Node) -> bool:
    return node.op.name == "transpose" and tuple(node.attrs["permutation"]) == EXCHANGE


def _reading(node: Node, producers: dict[Value, Node]) -> Node:
    """The product of what stands before the transpositions of its operands."""
    for place, value in enumerate(node.inputs):
        made = producers.get(value)
        if made is not None and _exchanges(made):
            inputs = (*node.inputs[:place], made.inputs[0], *node.inputs[place + 1:])
            node = Node(node.op, inputs, _with(node, place), node.outputs, node.origin)
    return node


def _with(node: Node, place: int) -> dict[str, Any]:
    """The attributes with one more of a, b and result in the other order."""
    order = list(node.attrs.get("steps_first", (False,) * 3))
    order[place] = True
    return {**node.attrs, "steps_first": tuple(order)}
