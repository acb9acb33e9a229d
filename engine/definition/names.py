"""Names of layers: those written, and Keras-like ones for the others."""

from __future__ import annotations

from engine import registry
from engine.definition.draft import Draft, Faults
from engine.errors import show
from engine.registry import snake_case


def complete_names(draft: Draft, faults: Faults) -> list[str]:
    """A name for every layer, in order. Written names are kept; others are conv2d, conv2d_1, … and never collide."""
    taken: dict[str, str] = {}
    for entry in draft.inputs:
        taken[entry.name] = "an input"
    for layer in draft.layers:
        if layer.name is None:
            continue
        if layer.name in taken:
            faults.add(layer.name_pointer, "a name of its own", f"{show(layer.name)}, which {taken[layer.name]} has")
        taken.setdefault(layer.name, "another layer")
    counts: dict[str, int] = {}
    names = []
    for layer in draft.layers:
        name = layer.name
        if name is None:
            stem = _stem(layer.type)
            while name is None or name in taken:
                number = counts.get(stem, 0)
                counts[stem] = number + 1
                name = f"{stem}_{number}" if number else stem
            taken[name] = "another layer"
        names.append(name)
    return names


def _stem(type_name: object) -> str:
    cls = registry.lookup("layer", type_name) if isinstance(type_name, str) else None
    return snake_case(cls.__name__) if cls else "layer"
