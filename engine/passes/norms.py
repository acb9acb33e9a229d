"""Batch normalisation as what it is made of: an op that adds up, and an elementwise op that fuses with its neighbours.

    y, mean, variance = batch_norm(x, gamma, beta)
        mean, variance, factor = batch_moments(x, gamma);  y = batch_apply(x, mean, factor, beta)
    dx, dgamma, dbeta = batch_norm_grad(g, x, gamma, mean, variance)
        dgamma, dbeta, slope, shift = batch_sums(x, mean, variance, g);  dx = batch_backward(g, x, mean, factor, …)
"""

from __future__ import annotations

from engine.graph.ir import Graph, Node, Value, rebuild
from engine.ops.base import find


def split_norms(graph: Graph) -> Graph:
    """Every `batch_norm` with a gradient or without one; a gradient whose normalisation is not here stays whole."""
    factors: dict[Value, Value] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        if node.op.name == "batch_norm":
            x, gamma, beta = node.inputs
            y, mean, variance = node.outputs
            factor = factors[mean] = Value(mean.type, "node")
            kept += [Node(find("batch_moments"), (x, gamma), node.attrs, (mean, variance, factor), node.origin),
                     Node(find("batch_apply"), (x, mean, factor, beta), {}, (y,), node.origin)]
        elif node.op.name == "batch_norm_grad" and node.inputs[3] in factors:
            g, x, _, mean, variance = node.inputs
            dx, dgamma, dbeta = node.outputs
            slope, shift = Value(mean.type, "node"), Value(mean.type, "node")
            kept += [Node(find("batch_sums"), (x, mean, variance, g), node.attrs, (dgamma, dbeta, slope, shift),
                          node.origin),
                     Node(find("batch_backward"), (g, x, mean, factors[mean], slope, shift), {}, (dx,), node.origin)]
        else:
            kept.append(node)
    return rebuild(graph, kept)
