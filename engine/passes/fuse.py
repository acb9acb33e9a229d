"""Fusion: bias and activation into the contraction before them, elementwise ops into one pass over memory."""

from __future__ import annotations

from collections.abc import Mapping

from engine.expressions import Body
from engine.graph.ir import Graph, Node, Value, rebuild
from engine.ops.base import find
from engine.ops.elementwise import Elementwise
from engine.types import Batch

CONTRACTIONS = ("matmul", "conv2d")
LONGEST = 24
"""Instructions in one chain; longer ones would only press on registers."""
MOST_INPUTS = 8


def fuse_epilogues(graph: Graph) -> Graph:
    """contraction + bias -> activation becomes one node, where nobody else reads what lies between."""
    users, outputs = graph.users(), set(graph.outputs.values())
    position = {node: index for index, node in enumerate(graph.nodes)}
    replaced: dict[Node, Node | None] = {}
    for node in graph.nodes:
        if node.op.name not in CONTRACTIONS or node.attrs.get("transpose_a") or len(node.inputs) > 2:
            continue
        last, inputs, epilogue = node, node.inputs, node.attrs.get("epilogue", ())
        while (following := _only_user(last.outputs[0], users, outputs)) is not None:
            if (
                following.op.name == "add"
                and len(inputs) == 2
                and not epilogue
                and (bias := _bias(following, last.outputs[0])) is not None
            ):
                inputs = (*inputs, bias)
            elif isinstance(following.op, Elementwise) and len(following.inputs) == 1 and following.op.name != "fused":
                epilogue = (*epilogue, (following.op.name, (len(epilogue),), tuple(sorted(following.attrs.items()))))
            else:
                break
            replaced[last], last = None, following
        if last is not node:
            attrs: Mapping[str, object] = {**node.attrs, **({"epilogue": epilogue} if epilogue else {})}
            replaced[last] = Node(node.op, inputs, attrs, last.outputs, node.origin)
    kept = [replaced.get(node, node) for node in sorted(graph.nodes, key=position.__getitem__)]
    return rebuild(graph, [node for node in kept if node is not None])


def _only_user(value: Value, users: Mapping[Value, list[Node]], outputs: set[Value]) -> Node | None:
    readers = users.get(value, [])
    return readers[0] if len(readers) == 1 and value not in outputs else None


def _bias(node: Node, product: Value) -> Value | None:
    """The other operand of an addition, if it is one number for each column."""
    other = next((value for value in node.inputs if value is not product), None)
    if (
        other is None
        or len(other.shape) != 1
        or other.shape[0] != product.shape[-1]
        or isinstance(other.shape[0], Batch)
    ):
        return None
    return other if other.role in ("parameter", "constant") else None


def fuse_chains(graph: Graph) -> Graph:
    """An elementwise node swallows the elementwise nodes that only it reads, if they have its shape."""
    users, outputs = graph.users(), set(graph.outputs.values())
    producers = graph.producers()
    swallowed: set[Node] = set()
    bodies: dict[Node, tuple[tuple[Value, ...], Body]] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        if not fusible(node):
            continue
        inputs, instructions = body(node)
        bodies[node] = (inputs, instructions)
        for value in inputs:
            producer = producers.get(value)
            if (
                producer is None
                or producer not in bodies
                or producer in swallowed
                or value.type.shape != node.outputs[0].shape
            ):
                continue
            if value.dtype != "float32" or any(reader is not node for reader in users[value]) or value in outputs:
                continue
            merged = merge(bodies[node], value, bodies[producer])
            if len(merged[1]) <= LONGEST and len(merged[0]) <= MOST_INPUTS:
                bodies[node] = merged
                swallowed.add(producer)
    for node in graph.nodes:
        if node in swallowed:
            continue
        if node in bodies and len(bodies[node][1]) > 1:
            inputs, instructions = bodies[node]
            attrs = {"body": instructions, "dtype": node.outputs[0].dtype}
            kept.append(Node(find("fused"), inputs, attrs, node.outputs, node.origin))
        else:
            kept.append(node)
    return rebuild(graph, kept)


def fusible(node: Node) -> bool:
    """Whether a node may be part of a chain."""
    return isinstance(node.op, Elementwise) and node.outputs[0].dtype == "float32" and all(
        value.dtype in ("float32", "uint8", "int32") for value in node.inputs)


Chain = tuple[tuple[Value, ...], Body]
"""Distinct inputs, and instructions on them."""


def body(node: Node) -> Chain:
    """A node as (distinct inputs, instructions)."""
    inputs = tuple(dict.fromkeys(node.inputs))
    if node.op.name == "fused":
        return node.inputs, node.attrs["body"]
    arguments = tuple(inputs.index(value) for value in node.inputs)
    return inputs, ((node.op.name, arguments, tuple(sorted(node.attrs.items()))),)


def merge(outer: Chain, value: Value, inner: Chain) -> Chain:
    """The outer chain with `value` computed by the inner one instead of read."""
    inputs = tuple(dict.fromkeys((*(other for other in outer[0] if other is not value), *inner[0])))
    shift = len(inputs)
    moved_inner = [
        (
            name,
            tuple(inputs.index(inner[0][a]) if a < len(inner[0]) else shift + a - len(inner[0]) for a in arguments),
            attrs,
        )
        for name, arguments, attrs in inner[1]
    ]
    result = shift + len(moved_inner) - 1
    behind = shift + len(moved_inner)

    def place(argument: int) -> int:
        if argument >= len(outer[0]):
            return behind + argument - len(outer[0])
        return result if outer[0][argument] is value else inputs.index(outer[0][argument])

    moved_outer = [(name, tuple(place(a) for a in arguments), attrs) for name, arguments, attrs in outer[1]]
    return inputs, tuple(moved_inner + moved_outer)
