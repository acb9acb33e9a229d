"""Compute values again where they are needed late, instead of keeping them: less memory for more arithmetic.

At the fullest moment of a step lie values that were computed long ago and will be read much later, mostly activations
that wait for their gradients. One at a time, the value is chosen that costs the least arithmetic for each byte, and
the nodes that make it are repeated in front of its next reader (Chen et al., arXiv:1604.06174, chosen greedily). A
repeated node has the same op, inputs and attributes, hence the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.graph.ir import Graph, Node, Value
from engine.types import size_bytes

PATIENCE = 16
"""Rounds without a new lowest peak: repeated nodes make peaks of their own."""
DEEPEST = 6
"""Nodes one behind the other that are repeated for one value."""


def rematerialise(graph: Graph, batch: int, limit_bytes: int) -> Graph:
    """The same results, with values that live at once brought below `limit_bytes`, or as far as it goes."""
    best, lowest, rounds = graph, live_bytes(graph, batch) + 1, 0
    while rounds < PATIENCE:
        lives, rounds = _Lives(graph, batch), rounds + 1
        if lives.peak_bytes < lowest:
            best, lowest, rounds = graph, lives.peak_bytes, 0
        if lives.peak_bytes <= limit_bytes:
            break
        choices = [choice for owner in lives.idle() if (choice := lives.again(owner)) is not None]
        if not choices:
            break
        graph = min(choices, key=lambda choice: choice.flops / choice.gain_bytes).applied(graph)
    return best


def live_bytes(graph: Graph, batch: int) -> int:
    """The most bytes that live at any node: what no arena of these nodes in this order can be below."""
    return _Lives(graph, batch).peak_bytes


def report(before: Graph, after: Graph) -> str:
    """What is computed again, and the arithmetic of one example."""
    flops = [sum(node.op.flops(node) for node in graph.nodes) for graph in (before, after)]
    again = [node.op.name for node in after.nodes][:]
    for node in before.nodes:
        again.remove(node.op.name)
    counted = ", ".join(f"{name} {again.count(name)}" for name in sorted(set(again)) if not _is_view(name, after))
    return (f"computed again: {counted or 'nothing'}; arithmetic of an example {flops[0]:,} -> {flops[1]:,} "
            f"({flops[1] / max(1, flops[0]) - 1:+.1%})")


def _is_view(name: str, graph: Graph) -> bool:
    return any(node.op.views for node in graph.nodes if node.op.name == name)


@dataclass
class _Again:
    """Nodes to repeat in front of `place`, and what their late readers read instead."""

    place: int
    flops: int = 0
    gain_bytes: int = 0
    nodes: list[Node] = field(default_factory=list)
    renamed: dict[Value, Value] = field(default_factory=dict)

    def applied(self, graph: Graph) -> Graph:
        """The graph with them."""
        late = [node if not any(value in self.renamed for value in node.inputs) else
                Node(node.op, tuple(self.renamed.get(value, value) for value in node.inputs), node.attrs,
                     node.outputs, node.origin) for node in graph.nodes[self.place:]]
        nodes = (*graph.nodes[:self.place], *self.nodes, *late)
        return Graph(graph.name, graph.inputs, graph.parameters, nodes, graph.outputs)


class _Lives:
    """From which node to which every computed value lives; views count as what they look at."""

    def __init__(self, graph: Graph, batch: int) -> None:
        self.graph, self.batch = graph, batch
        self.producers = graph.producers()
        self.first: dict[Value, int] = {}
        self.reads: dict[Value, list[tuple[int, Value]]] = {}
        self.owners: dict[Value, Value] = {}
        self.made: dict[Value, int] = {}
        self.written: dict[Value, int] = {}
        for place, node in enumerate(graph.nodes):
            for value in node.inputs:
                if value.role == "node":
                    self.reads[self.owners[value]].append((place, value))
            for output, value in enumerate(node.outputs):
                source = node.op.views.get(output)
                owner = value if source is None else self.owners.get(node.inputs[source], value)
                self.owners[value], self.made[value] = owner, place
                if owner is value:
                    self.first[value], self.reads[value] = place, []
            for value in node.op.written(node):
                self.written.setdefault(value, place)
        self.last = {owner: max([self.first[owner], *(place for place, _ in reads)])
                     for owner, reads in self.reads.items()}
        self.fetched = {self.owners[value] for value in graph.outputs.values() if value in self.owners}
        self.last.update(dict.fromkeys(self.fetched, len(graph.nodes)))
        change = np.zeros(len(graph.nodes) + 2, np.int64)
        for owner, place in self.first.items():
            change[place] += self.bytes(owner)
            change[self.last[owner] + 1] -= self.bytes(owner)
        lives = np.cumsum(change)
        self.peak, self.peak_bytes = int(lives.argmax()), int(lives.max())

    def bytes(self, value: Value) -> int:
        """Its size."""
        return size_bytes(value.type, self.batch)

    def idle(self) -> list[Value]:
        """Values that only lie there at the fullest moment."""
        return [owner for owner, place in self.first.items()
                if place < self.peak < self.last[owner] and owner not in self.fetched
                and all(read != self.peak for read, _ in self.reads[owner])]

    def again(self, owner: Value) -> _Again | None:
        """How `owner` would be computed again behind the fullest moment; None if it cannot be, or gains nothing."""
        # A view that is made behind the fullest moment follows what it looks at by itself.
        late = [(place, value) for place, value in self.reads[owner] if place > self.peak >= self.made[value]]
        found = _Again(late[0][0], gain_bytes=self.bytes(owner))
        extended: set[Value] = set()
        for value in dict.fromkeys(value for _, value in late):
            if not self._repeat(value, owner, found, extended, DEEPEST):
                return None
        found.gain_bytes -= sum(self.bytes(value) for value in extended)
        kept = {value for _, value in late}
        found.renamed = {old: new for old, new in found.renamed.items() if old in kept}
        return found if found.gain_bytes > 0 else None

    def _repeat(self, value: Value, wanted: Value, found: _Again, extended: set[Value], depth: int) -> bool:
        """Make `value` there at the place: it still is, or its node is repeated, or it has to live on."""
        if value in found.renamed:
            return True
        if value.role != "node":
            return self.written.get(value, found.place) >= found.place
        owner = self.owners[value]
        if owner is not wanted and self.last[owner] >= self.peak:
            return True
        node = self.producers[value]
        before = len(found.nodes), found.flops, dict(found.renamed), set(extended)
        if depth and not node.op.effect and self._repeat_all(node.inputs, wanted, found, extended, depth - 1):
            outputs = tuple(Value(output.type, "node") for output in node.outputs)
            inputs_now = tuple(found.renamed.get(source, source) for source in node.inputs)
            found.nodes.append(Node(node.op, inputs_now, node.attrs, outputs, node.origin))
            found.renamed.update(zip(node.outputs, outputs, strict=True))
            found.flops += node.op.flops(node)
            return True
        del found.nodes[before[0]:]
        _, found.flops, found.renamed, kept = before
        extended.intersection_update(kept)
        if owner is wanted:
            return False
        extended.add(owner)
        return True

    def _repeat_all(self, values: Sequence[Value], wanted: Value, found: _Again, extended: set[Value],
                    depth: int) -> bool:
        return all(self._repeat(value, wanted, found, extended, depth) for value in values)
