"""Explicit borders of zeros around a convolution's image become the convolution's own padding."""

from __future__ import annotations

from typing import Any

from engine.graph.ir import Graph, Node, Value, rebuild

READERS = ("conv2d", "depthwise_conv2d", "conv2d_backward_kernel", "depthwise_conv2d_backward_kernel")
WRITERS = ("conv2d_backward_data", "depthwise_conv2d_backward_data")
Padding = tuple[tuple[int, int], tuple[int, int]]
NONE: Padding = ((0, 0), (0, 0))


def fold_padding(graph: Graph) -> Graph:
    """`pad` before a convolution, and `slice` behind the gradient of its image, where nobody else reads what is cut."""
    users, outputs = graph.users(), set(graph.outputs.values())
    producers: dict[Value, Node] = {}
    kept: dict[Node, None] = {}
    for node in graph.nodes:
        made = producers.get(node.inputs[0]) if node.inputs else None
        if made is not None and node.op.name in READERS and (border := _border(made)) is not None:
            node = Node(node.op, (made.inputs[0], *node.inputs[1:]), _widened(node, border), node.outputs, node.origin)
        elif (
            made is not None
            and node.op.name == "slice"
            and node.attrs["axis"] in (1, 2)
            and made.op.name in WRITERS
            and len(users[node.inputs[0]]) == 1
            and node.inputs[0] not in outputs
        ):
            del kept[made]
            node = _cut(made, node)
        kept[node] = None
        producers |= dict.fromkeys(node.outputs, node)
    return rebuild(graph, kept)


def _border(node: Node) -> Padding | None:
    """The zeros that a `pad` puts around height and width, if it does nothing else."""
    if node.op.name != "pad" or node.attrs.get("value", 0.0) or len(node.attrs["padding"]) != 4:
        return None
    examples, height, width, channels = node.attrs["padding"]
    return (height, width) if examples == channels == (0, 0) else None


def _widened(node: Node, border: Padding) -> dict[str, Any]:
    (top, bottom), (left, right) = node.attrs.get("padding", NONE)
    (above, below), (before, behind) = border
    return {**node.attrs, "padding": ((top + above, bottom + below), (left + before, right + behind))}


def _cut(made: Node, cut: Node) -> Node:
    """The gradient of a part of the image: what was cut off counts as padding."""
    start, stop, axis = cut.attrs["start"], cut.attrs["stop"], cut.attrs["axis"] - 1
    size = list(made.attrs["size"])
    border = [(0, 0), (0, 0)]
    border[axis] = (start, size[axis] - stop)
    size[axis] = stop - start
    attrs = {**_widened(made, (border[0], border[1])), "size": tuple(size)}
    return Node(made.op, made.inputs, attrs, cut.outputs, made.origin)
