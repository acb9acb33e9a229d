"""Computing again what is cheaper to compute than to write and read.

Beyond the caches an elementwise chain costs what it moves. Two rewrites let the two passes of a batch normalisation's
gradient move less:

- A chain that only these two read is computed in both, instead of being written once and read twice.
- What they read, but could compute from other things that they read anyway, is computed once more: the output of the
  rectifier behind the normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.graph.ir import Graph, Node, Value, rebuild
from engine.ops.base import find
from engine.passes.fuse import LONGEST, MOST_INPUTS, Chain, body, fusible, merge

SUMS, FIXED = "batch_sums", 3
"""The op that adds up a chain, and how many of its inputs stand before the chain's."""
CHEAP = 3
"""What an op of a recomputed chain may cost for each element: no exponentials."""


def recompute(graph: Graph) -> Graph:
    """The same values, fewer of them stored. Bits stay: the same instructions give the same results."""
    users, outputs, producers = graph.users(), set(graph.outputs.values()), graph.producers()
    chains = {node: chain for node in graph.nodes if (chain := _chain(node)) is not None}
    changed: dict[Node, Chain] = {}
    for node in graph.nodes:
        if node.op.name != SUMS:
            continue
        gradient = node.inputs[FIXED]
        producer, readers = producers.get(gradient), users[gradient]
        if producer is None or producer not in chains or gradient in outputs or len(readers) > 2:
            continue
        merged = {reader: merge(chains[reader], gradient, chains[producer]) for reader in readers if reader in chains}
        if len(merged) == len(readers) and all(_fits(reader, chain) for reader, chain in merged.items()):
            changed |= {reader: _again(reader, chain, chains, producers) for reader, chain in merged.items()}
    return rebuild(graph, [_made(node, changed[node]) if node in changed else node for node in graph.nodes])


def _chain(node: Node) -> Chain | None:
    if node.op.name == SUMS:
        return node.inputs[FIXED:], node.attrs.get("body", ())
    return body(node) if fusible(node) else None


def _large(node: Node) -> Value:
    """A value of the shape that the node's chain has."""
    return node.inputs[0] if node.op.name == SUMS else node.outputs[0]


def _fits(node: Node, chain: Chain) -> bool:
    """Whether the node can take the chain: sums know tensors and numbers for each channel."""
    shape = _large(node).shape
    known = (shape, shape[-1:])
    simple = all(value.shape in known and value.dtype == "float32" for value in chain[0])
    return len(chain[1]) <= LONGEST and len(chain[0]) <= MOST_INPUTS and (simple or node.op.name != SUMS)


def _again(node: Node, chain: Chain, chains: Mapping[Node, Chain], producers: Mapping[Value, Node]) -> Chain:
    """The chain without the tensors that follow from others that the node reads."""
    shape = _large(node).shape
    read = {value for value in (*chain[0], *node.inputs) if value.shape == shape}
    for value in chain[0]:
        producer = producers.get(value)
        if value.shape != shape or producer is None or producer not in chains:
            continue
        inputs, instructions = chains[producer]
        follows = all(other.shape != shape or other in read - {value} for other in inputs)
        if follows and all(find(name).cost <= CHEAP for name, _, _ in instructions):  # type: ignore[attr-defined]
            merged = merge(chain, value, chains[producer])
            chain = merged if _fits(node, merged) else chain
    return chain


def _made(node: Node, chain: Chain) -> Node:
    inputs, instructions = chain
    if node.op.name == SUMS:
        return Node(node.op, (*node.inputs[:FIXED], *inputs), {**node.attrs, "body": instructions}, node.outputs,
                    node.origin)
    attrs = {"body": instructions, "dtype": node.outputs[0].dtype}
    return Node(find("fused"), inputs, attrs, node.outputs, node.origin)
