"""An execution order of calls that may be written in any order."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from engine.definition.draft import Draft, Faults


def execution_order(draft: Draft, reads: Sequence[tuple[int, ...]], names: Sequence[str], faults: Faults) -> list[int]:
    """Every call after those it reads, otherwise as written. Calls that read themselves in a circle are a fault.

    `reads` has for each call the positions of the calls that it reads.
    """
    waiting = [len(set(read)) for read in reads]
    readers: dict[int, list[int]] = {}
    for position, read in enumerate(reads):
        for other in dict.fromkeys(read):
            readers.setdefault(other, []).append(position)
    ready = [position for position, count in enumerate(waiting) if not count]
    order = []
    while ready:
        position = heapq.heappop(ready)
        order.append(position)
        for reader in readers.get(position, ()):
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(ready, reader)
    if len(order) < len(reads):
        circle = _circle(dict(enumerate(reads)), set(range(len(reads))) - set(order))
        shown = [names[position] for position in circle]
        shown = [*shown[:8], "…"] if len(shown) > 8 else shown
        faults.add(draft.calls[circle[0]].inputs_pointer, "layers without a cycle",
                   " <- ".join([*shown, names[circle[0]]]))
    return order


def _circle(reads: Mapping[int, tuple[int, ...]], left: set[int]) -> list[int]:
    """Calls that read each other in a circle, among those that found no place; each reads the next."""
    walked: dict[int, None] = {}
    position = min(left)
    while position not in walked:
        walked[position] = None
        position = next(read for read in reads[position] if read in left)
    path = list(walked)
    return path[path.index(position):]
