"""The one list of everything that can be named in a definition.

A class becomes known by its decorator: `@register("layer")` on a dataclass in any module of `engine/layers/`.
`lookup` imports the kind's package on first use, so adding an entry touches one file and no list.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable
from functools import cache
from typing import TypeVar

PACKAGES = {
    "layer": "engine.layers",
    "cell": "engine.cells",
    "activation": "engine.activations",
    "loss": "engine.losses",
    "metric": "engine.metrics",
    "optimizer": "engine.optimizers",
    "schedule": "engine.schedules",
    "initializer": "engine.initializers",
    "regularizer": "engine.regularizers",
    "constraint": "engine.constraints",
    "callback": "engine.callbacks",
    "transform": "engine.data.transforms",
    "augmentation": "engine.data.augmentations",
    "format": "engine.data.formats",
    "weights_format": "engine.formats",
    "template": "engine.templates",
    "op": "engine.ops",
}

_entries: dict[str, dict[str, type]] = {kind: {} for kind in PACKAGES}
_aliases: dict[str, dict[str, str]] = {kind: {} for kind in PACKAGES}

T = TypeVar("T", bound=type)


def snake_case(name: str) -> str:
    """`SparseCategoricalCrossentropy` -> `sparse_categorical_crossentropy`, as Keras spells its short names."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def register(kind: str, name: str | None = None, *, aliases: tuple[str, ...] = ()) -> Callable[[T], T]:
    """Make the decorated class known as `name` (default: the class's own) and by its aliases and snake-case name."""

    def decorate(cls: T) -> T:
        known = name or cls.__name__
        if known in _entries[kind]:
            raise ValueError(f"{kind} {known!r} is registered twice: by {_entries[kind][known]} and {cls}")
        _entries[kind][known] = cls
        for alias in (snake_case(known), *aliases):
            _aliases[kind].setdefault(alias, known)
        cls.kind = kind  # type: ignore[attr-defined]
        cls.type_name = known  # type: ignore[attr-defined]
        return cls

    return decorate


@cache
def _discover(kind: str) -> None:
    package = importlib.import_module(PACKAGES[kind])
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{PACKAGES[kind]}.{module.name}")


def entries(kind: str) -> dict[str, type]:
    """Every registered class of a kind by its name, sorted."""
    _discover(kind)
    return dict(sorted(_entries[kind].items()))


def lookup(kind: str, name: str) -> type | None:
    """The class known by this name or alias, or None."""
    _discover(kind)
    return _entries[kind].get(_aliases[kind].get(name, name))
