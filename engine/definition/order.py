"""An execution order of layers that may be written in any order."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from engine.definition.draft import Draft, Faults


def execution_order(draft: Draft, inputs: Mapping[str, tuple[str, ...]], faults: Faults) -> list[str]:
    """Every layer after those it reads, otherwise as written. Layers that read themselves in a circle are a fault."""
    position = {name: index for index, name in enumerate(inputs)}
    waiting = {name: len({read for read in reads if read in position}) for name, reads in inputs.items()}
    readers: dict[str, list[str]] = {}
    for name, reads in inputs.items():
        for read in dict.fromkeys(reads):
            readers.setdefault(read, []).append(name)
    ready = [position[name] for name, count in waiting.items() if not count]
    names = list(inputs)
    order = []
    while ready:
        name = names[heapq.heappop(ready)]
        order.append(name)
        for reader in readers.get(name, ()):
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(ready, position[reader])
    if len(order) < len(names):
        circle = _circle(inputs, set(names) - set(order))
        layer = draft.layers[position[circle[0]]]
        shown = [*circle[:8], "…"] if len(circle) > 8 else circle
        faults.add(layer.inputs_pointer, "layers without a cycle", " <- ".join([*shown, circle[0]]))
    return order


def _circle(inputs: Mapping[str, tuple[str, ...]], left: set[str]) -> list[str]:
    """Names that read each other in a circle, among those that found no place; each reads the next."""
    path: dict[str, None] = {}
    name = next(name for name in inputs if name in left)
    while name not in path:
        path[name] = None
        name = next(read for read in inputs[name] if read in left)
    walked = list(path)
    return walked[walked.index(name):]
