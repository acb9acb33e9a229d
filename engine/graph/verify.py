"""The verifier: what holds of every graph, checked between passes."""

from __future__ import annotations

from collections.abc import Mapping

from engine.errors import CompileError
from engine.graph.ir import Graph, Node, Value
from engine.graph.text import neighbourhood
from engine.ops.base import ShapeMismatch


def verify(graph: Graph) -> None:
    """Raise CompileError, showing the neighbourhood, unless the graph is sound.

    Every value is computed once, before it is read, and typed as its op infers. Parameters are written after all that
    reads them: what a node reads never depends on where passes put it.
    """
    known: set[Value] = {*graph.inputs, *graph.parameters}
    declared = [value.name for value in (*graph.inputs, *graph.parameters)]
    if len(declared) != len(set(declared)):
        raise CompileError(f"graph {graph.name}: names declared twice: {sorted(declared)}")
    written: dict[Value, str] = {}
    views: dict[Value, Value] = {}
    for position, node in enumerate(graph.nodes):
        fault = _fault(node, known) or _late(node, views, written)
        if fault:
            raise CompileError(
                f"graph {graph.name}, node {position} ({node.op.name}): {fault}\n{neighbourhood(graph, position)}"
            )
        known.update(node.outputs)
        views |= {node.outputs[output]: views.get(node.inputs[source], node.inputs[source])
                  for output, source in node.op.views.items()}
        written |= {views.get(value, value): node.op.name for value in node.op.written(node)}
    for name, value in graph.outputs.items():
        if value not in known and value.role != "constant":
            raise CompileError(f"graph {graph.name}: output {name!r} is never computed")


def _fault(node: Node, known: set[Value]) -> str | None:
    for index, value in enumerate(node.inputs):
        if value not in known and value.role not in ("constant", "state", "table"):
            return f"input {index} ({value.type}) is read before it is computed"
    if any(output in known for output in node.outputs) or len(set(node.outputs)) < len(node.outputs):
        return "an output is computed twice"
    try:
        inferred = node.op.infer(*(value.type for value in node.inputs), **node.attrs)
    except (ShapeMismatch, TypeError, ValueError) as mismatch:
        return f"its op does not take its inputs and attributes: {mismatch}"
    received = tuple(output.type for output in node.outputs)
    if inferred != received:
        return f"expected outputs {[str(type) for type in inferred]}, received {[str(type) for type in received]}"
    return None


def _late(node: Node, views: Mapping[Value, Value], written: Mapping[Value, str]) -> str | None:
    for value in node.inputs:
        seen = views.get(value, value)
        if seen in written:
            return f"parameter {seen.name!r} is read after {written[seen]} has written it"
    return None
