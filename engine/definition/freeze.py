"""Layers that a job leaves as they are, chosen by patterns of their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from engine.definition.draft import Faults
from engine.definition.model import Model
from engine.errors import nearest, pointer_to, show


def freeze(model: Model, patterns: Sequence[str], pointer: str, faults: Faults) -> Model:
    """The model with the layers frozen that match a pattern: `conv*`, `encoder/*`, or the name of a nested model.

    `*` stands for anything, `?` for one character. A pattern that matches no layer is a fault.
    """
    owners = list(dict.fromkeys(node.owner for node in model.layers))
    chosen: set[str] = set()
    for index, pattern in enumerate(patterns):
        found = {name for name in owners if any(fnmatchcase(part, pattern) for part in _paths(name))}
        if not found:
            names = ", ".join(owners[:20]) + (", …" if len(owners) > 20 else "")
            faults.add(pointer_to(pointer, index), f"a pattern of layers' names ({names})",
                       f"{show(pattern)}{nearest(pattern, owners)}")
        chosen |= found
    if not chosen:
        return model
    layers = tuple(replace(node, trainable=False) if node.owner in chosen else node for node in model.layers)
    return replace(model, layers=layers)


def _paths(name: str) -> list[str]:
    """A layer's name, and those of the models that it is in."""
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
