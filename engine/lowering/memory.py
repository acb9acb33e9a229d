"""The memory planner: one arena for all values of a plan, buffers shared by values that never live at the same time.

A value lives from the request that writes it to the last one that reads it; fetches live to the end. Views share their
source's buffer, and an op that declares it takes over an input's buffer where that input ends there. Offsets are fixed
for the largest batch; a smaller batch uses the front of each buffer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.graph.ir import Graph, Node, Value
from engine.lowering.request import KernelRequest
from engine.types import size_bytes

ALIGNMENT = 64


@dataclass(frozen=True)
class Block:
    """A stretch of the arena, used from request `first` to request `last`."""

    offset: int
    size: int
    first: int
    last: int


@dataclass(frozen=True)
class Allocation:
    """Where every computed value lives. Values that share a block map to the same one."""

    blocks: dict[Value, Block]
    arena_bytes: int
    total_bytes: int
    """What the values would take without sharing."""

    def report(self) -> str:
        """A line for each block in the order of its life, then the sums."""
        unique = sorted(set(self.blocks.values()), key=lambda block: (block.first, block.offset))
        lines = [f"{block.first:5d} – {block.last:<5d} {block.offset:12,d} + {block.size:<12,d}" for block in unique]
        lines.append(f"arena {self.arena_bytes:,} bytes, {self.live_bytes:,} of them in use at once, "
                     f"for {len(self.blocks)} values of {self.total_bytes:,} bytes")
        return "\n".join(lines)

    @property
    def live_bytes(self) -> int:
        """The most that blocks take at any request: no arena for these lifetimes can be smaller."""
        blocks = set(self.blocks.values())
        change = np.zeros(max((block.last for block in blocks), default=0) + 2, np.int64)
        for block in blocks:
            change[block.first] += block.size
            change[block.last + 1] -= block.size
        return int(np.cumsum(change).max())


def plan_memory(
    graph: Graph, requests: Sequence[tuple[KernelRequest, Node]], batch: int, *, keep: bool = False
) -> Allocation:
    """Lifetimes, then offsets: blocks in order of size, each at the lowest place where it meets no other living one.

    `keep` lets every value live to the end in a place of its own.
    """
    roots = _views(graph)

    def root(value: Value) -> Value:
        while value in roots:
            value = roots[value]
        return value

    first: dict[Value, int] = {}
    last: dict[Value, int] = {}
    for index, (request, _) in enumerate(requests):
        for value in map(root, (*request.reads, *request.writes)):
            if value.role in ("node", "scratch"):
                first.setdefault(value, index)
                last[value] = index
    for value in list(last) if keep else map(root, graph.outputs.values()):
        if value.role == "node" and value in first:
            last[value] = len(requests)
    if not keep:
        _take_over(requests, roots, root, first, last, batch)

    members: dict[Value, list[Value]] = {}
    for value in first:
        members.setdefault(root(value), []).append(value)
    sizes = {owner: max(size_bytes(value.type, batch) for value in values) for owner, values in members.items()}
    spans = {
        owner: (min(first[value] for value in values), max(last[value] for value in values))
        for owner, values in members.items()
    }
    placed = _Placed(len(sizes))
    blocks: dict[Value, Block] = {}
    for owner in sorted(sizes, key=lambda value: (-sizes[value], spans[value])):
        start, stop = spans[owner]
        block = placed.place(-(-max(sizes[owner], 1) // ALIGNMENT) * ALIGNMENT, start, stop)
        blocks |= dict.fromkeys(members[owner], block)
    for value in list(roots):
        if root(value) in blocks:
            blocks[value] = blocks[root(value)]
    arena = max((block.offset + block.size for block in blocks.values()), default=0)
    return Allocation(blocks, arena, sum(size_bytes(value.type, batch) for value in first))


def _views(graph: Graph) -> dict[Value, Value]:
    return {
        node.outputs[output]: node.inputs[source] for node in graph.nodes for output, source in node.op.views.items()
    }


def _take_over(requests: Sequence[tuple[KernelRequest, Node]], roots: dict[Value, Value], root, first: dict[Value, int],  # type: ignore[no-untyped-def]
               last: dict[Value, int], batch: int) -> None:
    """Let outputs take over the buffers of inputs that end at the same request, as the ops declare."""
    span_end = dict(last)
    for index, (request, node) in enumerate(requests):
        if len(request.writes) != 1 or request.writes != node.outputs:
            continue
        (output,) = request.writes
        for source in (node.inputs[place] for place in node.op.overwrites.values() if place < len(node.inputs)):
            owner = root(source)
            fits = (owner.role == "node" and owner in span_end and span_end[owner] == index and first[output] == index
                    and size_bytes(source.type, batch) == size_bytes(output.type, batch)
                    and sum(root(value) is owner for value in request.reads) == 1)
            if fits and output not in roots:
                roots[output] = owner
                span_end[owner] = last[output]
                break


class _Placed:
    """The blocks placed so far in order of offset, as arrays: a model of thousands of layers has tens of thousands."""

    def __init__(self, capacity: int) -> None:
        self._count = 0
        self._rows = np.zeros((4, capacity), np.int64)

    def place(self, size: int, first: int, last: int) -> Block:
        """Put a block at the lowest offset where it meets none that lives at the same time."""
        offsets, ends, firsts, lasts = self._rows[:, :self._count]
        living = (firsts <= last) & (lasts >= first)
        tops = np.maximum.accumulate(np.concatenate(([0], ends[living])))
        gaps = np.flatnonzero(tops[:-1] + size <= offsets[living])
        offset = int(tops[gaps[0]] if gaps.size else tops[-1])
        at = int(np.searchsorted(offsets, offset, side="right"))
        self._rows[:, at + 1:self._count + 1] = self._rows[:, at:self._count]
        self._rows[:, at] = offset, offset + size, first, last
        self._count += 1
        return Block(offset, size, first, last)
