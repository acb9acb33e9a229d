"""`{"template": "resnet20", "classes": 10}`: a family of models by its options (`engine.templates`).

`name` and `inputs` are as in the native form. Faults of what the template writes stand at `template`: the user has
written none of its layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from engine import registry
from engine.definition.draft import Draft, Faults
from engine.definition.native import read_native
from engine.errors import nearest, pointer_to, show
from engine.options import Reader, read_fields
from engine.templates.base import Template

OWN_FIELDS = ("template", "name", "inputs")


def is_template(document: Mapping[str, Any]) -> bool:
    """True for this form."""
    return "template" in document


def read_template(document: Mapping[str, Any], pointer: str, faults: Faults, depth: int = 0) -> Draft:
    """The draft of the definition that the template writes. Raises Mismatch where there is no such template."""
    at, name = pointer_to(pointer, "template"), document["template"]
    cls = registry.lookup("template", name) if isinstance(name, str) else None
    if cls is None:
        known = list(registry.entries("template"))
        hint = nearest(name, known) if isinstance(name, str) else ""
        faults.add(at, f"one of {', '.join(known)}", f"{show(name)}{hint}")
        faults.stop()
        raise AssertionError("a fault was noted")
    options = {key: value for key, value in document.items() if key not in OWN_FIELDS}
    template: Template = Reader(lambda value, place: read_fields(cls, value, place), {})(options, pointer)
    given = {key: document[key] for key in ("name", "inputs") if key in document}
    draft = read_native({**template.document(), **given}, pointer, faults, depth)
    return replace(draft, layers=tuple(_at(layer, at) for layer in draft.layers),
                   calls=tuple(_at(call, at) for call in draft.calls), layers_pointer=at, outputs_pointer=at)


def _at(written: Any, pointer: str) -> Any:
    """The same with all places, also of what it refers to, at one pointer."""
    if isinstance(written, tuple):
        return tuple(_at(item, pointer) for item in written)
    if not is_dataclass(written) or isinstance(written, type):
        return written
    changed = {item.name: pointer if item.name.endswith("pointer") else _at(getattr(written, item.name), pointer)
               for item in fields(written)}
    return replace(written, **changed)
