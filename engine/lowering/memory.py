"""The memory planner: one arena for all values of a plan, buffers shared by values that never live at the same time.

A value lives from the request that writes it to the last one that reads it; fetches live to the end. Views share their
source's buffer, and an op that declares it takes over an input's buffer where that input ends there. Offsets are fixed for
the largest batch; a smaller batch uses the front of each buffer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
        lines.append(f"arena {self.arena_bytes:,} bytes for {len(self.blocks)} values of {self.total_bytes:,} bytes")
        return "\n".join(lines)


def plan_memory(graph: Graph, requests: Sequence[tuple[KernelRequest, Node]], batch: int) -> Allocation:
    """Lifetimes, then offsets: blocks in order of size, each at the lowest place where it meets no other living one."""
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
    for value in map(root, graph.outputs.values()):
        if value.role == "node" and value in first:
            last[value] = len(requests)
    _take_over(requests, roots, root, first, last, batch)

    members: dict[Value, list[Value]] = {}
    for value in first:
        members.setdefault(root(value), []).append(value)
    sizes = {owner: max(size_bytes(value.type, batch) for value in values) for owner, values in members.items()}
    spans = {owner: (min(first[value] for value in values), max(last[value] for value in values)) for owner, values in members.items()}
    placed: list[Block] = []
    blocks: dict[Value, Block] = {}
    for owner in sorted(sizes, key=lambda value: (-sizes[value], spans[value])):
        start, stop = spans[owner]
        block = _place(placed, -(-max(sizes[owner], 1) // ALIGNMENT) * ALIGNMENT, start, stop)
        placed.append(block)
        blocks |= {value: block for value in members[owner]}
    for value in list(roots):
        if root(value) in blocks:
            blocks[value] = blocks[root(value)]
    arena = max((block.offset + block.size for block in placed), default=0)
    return Allocation(blocks, arena, sum(size_bytes(value.type, batch) for value in first))


def _views(graph: Graph) -> dict[Value, Value]:
    return {node.outputs[output]: node.inputs[source] for node in graph.nodes for output, source in node.op.views.items()}


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


def _place(placed: Sequence[Block], size: int, first: int, last: int) -> Block:
    living = sorted((block for block in placed if block.first <= last and first <= block.last), key=lambda block: block.offset)
    offset = 0
    for block in living:
        if offset + size <= block.offset:
            break
        offset = max(offset, block.offset + block.size)
    return Block(offset, size, first, last)
