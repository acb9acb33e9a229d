"""Which convolutions Winograd's algorithm computes, written into the nodes: what the plan's numerics allow and pays."""

from __future__ import annotations

from engine.graph.ir import Graph, Node, rebuild
from engine.lowering.select import Numerics, winograd_tile
from engine.types import known

ONES = {"strides": (1, 1), "dilation": (1, 1), "groups": 1}


def choose_algorithms(graph: Graph, numerics: Numerics) -> Graph:
    """Convolutions and their gradients get an attribute `winograd`, the tile, where it is not the direct algorithm."""
    return rebuild(graph, [_chosen(node, numerics) for node in graph.nodes])


def _chosen(node: Node, numerics: Numerics) -> Node:
    name = node.op.name
    if name not in ("conv2d", "conv2d_backward_data", "conv2d_backward_kernel"):
        return node
    if any(node.attrs.get(attr, usual) != usual for attr, usual in ONES.items()):
        return node
    gradient = name == "conv2d_backward_kernel"
    outputs = known((node.inputs[1] if gradient else node.outputs[0]).shape[1:3])
    kernel = known((node.outputs[0] if gradient else node.inputs[1]).shape)
    tile = winograd_tile(numerics, (outputs[0], outputs[1]), kernel, gradient=gradient)
    return Node(node.op, node.inputs, {**node.attrs, "winograd": tile}, node.outputs, node.origin) if tile else node
