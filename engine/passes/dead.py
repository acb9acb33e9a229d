"""Eliminate nodes whose results nobody reads."""

from __future__ import annotations

from engine.graph.ir import Graph, Value, rebuild


def eliminate_dead(graph: Graph) -> Graph:
    """Keep what the outputs and the nodes with an effect depend on."""
    needed: set[Value] = set(graph.outputs.values())
    kept = []
    for node in reversed(graph.nodes):
        if node.op.effect or any(output in needed for output in node.outputs):
            needed.update(node.inputs)
            kept.append(node)
    return rebuild(graph, reversed(kept))
