"""Computing again what is cheaper to compute than to read.

Beyond the caches an elementwise chain costs what it moves. Two rewrites let chains and the sums of a batch
normalisation's gradient read less:

- A chain that only they read is computed in each of them, instead of being written once and read by all.
- A value that is computed from what they read anyway, like the mask of a rectifier behind a normalisation, is computed
  once more.
"""

from __future__ import annotations

from engine.expressions import Body
from engine.graph.ir import Graph, Node, Value, rebuild
from engine.ops.base import Op, find
from engine.ops.elementwise import Elementwise
from engine.passes.fuse import LONGEST, MOST_INPUTS, Chain, body, fusible, merge

DEAREST = 5
"""What an op of a recomputed chain may cost: no exponentials."""


def recompute(graph: Graph) -> Graph:
    """The same values, fewer of them stored."""
    users, outputs, producers = graph.users(), set(graph.outputs.values()), graph.producers()
    chains: dict[Node, Chain] = {}
    for node in graph.nodes:
        if (chain := _chain(node)) is None:
            continue
        chains[node] = chain
        for value in chain[0]:
            if value in outputs or value not in producers or value.shape != _shape(node):
                continue
            readers = users[value]
            if len(readers) > 1 and all(reader.op.name == "batch_sums" or _takes(reader) for reader in readers) \
                    and any(reader.op.name == "batch_sums" for reader in readers):
                _inline(chains, node, value, producers[value])
        for value in chains[node][0]:
            producer = producers.get(value)
            if producer in chains and value.shape == _shape(node) and _known(chains[producer], chains[node], value):
                _inline(chains, node, value, producer)
    return rebuild(graph, [_made(node, chains[node]) if node in chains else node for node in graph.nodes])
