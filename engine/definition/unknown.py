"""Faults for layers that are not known: what there is, and where a thing of that name is to be found instead."""

from __future__ import annotations

from engine import registry
from engine.absent import why_absent
from engine.definition.draft import DraftLayer, Faults
from engine.errors import nearest, show

ELSEWHERE = {"transform": "data.preprocessing", "augmentation": "data.augmentation", "activation": "an activation"}
"""Kinds of entries that Keras has among its layers, and where a job takes them."""


def refuse_unknown_layer(layer: DraftLayer, faults: Faults) -> None:
    """Note that no layer has this type."""
    known = list(registry.entries("layer"))
    written = layer.type
    if not isinstance(written, str):
        faults.add(layer.type_pointer, f"one of {', '.join(known)}", show(written))
        return
    hint = why_absent("layer", written)
    if not hint:
        places = [f"; a job takes it as {kind} in {place}" if kind != "activation" else
                  f"; it is an activation: {{\"type\": \"Activation\", \"activation\": {show(written)}}}"
                  for kind, place in ELSEWHERE.items() if registry.lookup(kind, written) is not None]
        hint = places[0] if places else nearest(written, known)
    faults.add(layer.type_pointer, f"one of {', '.join(known)}", f"{show(written)}{hint}")
