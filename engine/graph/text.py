"""The stable text of a graph, for golden tests, error messages and people.

    graph forward(image: f32[B,32,32,3]) {
      param conv2d/kernel: f32[3,3,3,32]
      %0: f32[B,30,30,32] = conv2d(image, conv2d/kernel) strides=(1, 1)  # conv2d
      return logits=%0
    }
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.graph.ir import Graph, Node, Value


def names(graph: Graph) -> dict[Value, str]:
    """What every value is called in the text: its own name, `%number` in execution order, `$number` for a constant."""
    named = {value: value.name for value in (*graph.inputs, *graph.parameters)}
    named |= {value: f"${index}" for index, value in enumerate(graph.constants())}
    computed = (output for node in graph.nodes for output in node.outputs)
    named |= {value: f"%{index}" for index, value in enumerate(computed)}
    for node in graph.nodes:
        named |= {value: f"@{value.name}" for value in node.inputs if value.role in ("state", "table")}
    return named


def print_graph(graph: Graph) -> str:
    """The whole graph."""
    named = names(graph)
    head = ", ".join(f"{value.name}: {value.type}" for value in graph.inputs)
    lines = [f"graph {graph.name}({head}) {{"]
    lines += [f"  param {value.name}: {value.type}" for value in graph.parameters]
    lines += [f"  const {named[value]}: {value.type} = {_print_array(value.data)}" for value in graph.constants()]
    lines += [f"  {print_node(node, named)}" for node in graph.nodes]
    lines.append("  return " + ", ".join(f"{name}={named.get(value, '?')}" for name, value in graph.outputs.items()))
    return "\n".join([*lines, "}"])


def print_node(node: Node, named: Mapping[Value, str]) -> str:
    """One node's line."""
    results = ", ".join(f"{named.get(value, '?')}: {value.type}" for value in node.outputs)
    arguments = ", ".join(named.get(value, "?") for value in node.inputs)
    attrs = "".join(f" {key}={_print_attr(value)}" for key, value in sorted(node.attrs.items()))
    return f"{results or '()'} = {node.op.name}({arguments}){attrs}" + (f"  # {node.origin}" if node.origin else "")


def neighbourhood(graph: Graph, position: int, lines: int = 10) -> str:
    """The lines around node number `position`, with a mark at it."""
    named = names(graph)
    first = max(0, position - lines // 2)
    around = graph.nodes[first: first + lines]
    return "\n".join(f"{'>' if first + index == position else ' '} {print_node(node, named)}"
                     for index, node in enumerate(around))


def _print_attr(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, str):
        return value
    if isinstance(value, np.ndarray):
        return _print_array(value)
    return str(value)


def _print_array(data: np.ndarray | None) -> str:
    if data is None:
        return "?"
    if data.size <= 4:
        return str(data.tolist())
    return f"[{', '.join(f'{item:.6g}' for item in data.ravel()[:3])}, … {data.size}]"
