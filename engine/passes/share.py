"""Share common subexpressions: nodes with the same op, inputs and attributes compute the same."""

from __future__ import annotations

from typing import Any

from engine.graph.ir import Graph, Node, Value, rebuild


def share_common(graph: Graph) -> Graph:
    """The first of equal nodes serves all; nodes with an effect stay as they are.

    What reads the run's state is shared too: within a step it reads the same.
    """
    seen: dict[Any, Node] = {}
    renamed: dict[Value, Value] = {}
    kept = []
    for node in graph.nodes:
        inputs = tuple(renamed.get(value, value) for value in node.inputs)
        if node.op.effect:
            kept.append(node)
            continue
        key = (node.op.name, tuple(map(_identity, inputs)), repr(sorted(node.attrs.items())))
        twin = seen.setdefault(key, node)
        if twin is node:
            kept.append(node)
        else:
            renamed.update(zip(node.outputs, twin.outputs, strict=True))
    return rebuild(graph, kept, renamed)


def _identity(value: Value) -> Any:
    """Equal for values that are the same, or small constants with the same content."""
    if value.role == "constant" and value.data is not None and value.data.size <= 16:
        return (str(value.type), value.data.tobytes())
    return id(value)
