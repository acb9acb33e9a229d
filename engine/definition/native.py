"""The native form of a model: `{"inputs": {name: {"shape"}}, "layers": [{"type", …}], "outputs"?}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.definition import draft
from engine.definition.draft import Draft, DraftInput, DraftLayer, Faults, Reference
from engine.definition.limits import MAXIMUM_INPUTS, MAXIMUM_LAYERS, MAXIMUM_OUTPUTS
from engine.errors import nearest, pointer_to, show
from engine.options import Reader, boolean, only, sequence

FIELDS = ("name", "inputs", "layers", "outputs")
INPUT_FIELDS = ("shape", "dtype")
LAYER_FIELDS = ("type", "name", "inputs", "trainable", "dtype")
"""What every layer has besides its options."""

_any = Reader(lambda value, pointer: value, {})
_layers = sequence(_any, 1, MAXIMUM_LAYERS)
_names = sequence(draft.name, 1, MAXIMUM_LAYERS)
float32 = only("float32", "the engine computes in float32, and converts integer columns itself")


def read_native(document: Mapping[str, Any], pointer: str, faults: Faults) -> Draft:
    """The draft of a native definition; what is at fault in its form is noted and left out."""
    refuse_unknown(document, FIELDS, pointer, faults)
    written = document.get("inputs")
    inputs = () if written is None else _inputs(written, pointer_to(pointer, "inputs"), faults)
    layers_pointer = pointer_to(pointer, "layers")
    layers = [_layer(entry, pointer_to(layers_pointer, index), faults)
              for index, entry in enumerate(faults.read(_layers, document.get("layers"), layers_pointer, ()))]
    outputs = _outputs(document.get("outputs"), pointer_to(pointer, "outputs"), faults)
    name = faults.read(draft.name, document.get("name", "model"), pointer_to(pointer, "name"), "model")
    return Draft(name, inputs, tuple(layer for layer in layers if layer), outputs, pointer, layers_pointer,
                 pointer_to(pointer, "inputs"), pointer_to(pointer, "outputs"))


def refuse_unknown(document: Mapping[str, Any], known: tuple[str, ...], pointer: str, faults: Faults) -> None:
    """Note every field that is not known."""
    for key in document:
        if key not in known:
            faults.add(pointer_to(pointer, key), f"one of {', '.join(known)}",
                       f"the unknown field {show(key)}{nearest(str(key), known)}")


def _inputs(value: Any, pointer: str, faults: Faults) -> tuple[DraftInput, ...]:
    if not isinstance(value, Mapping) or not 1 <= len(value) <= MAXIMUM_INPUTS:
        received = f"{len(value)} inputs" if isinstance(value, Mapping) else show(value)
        faults.add(pointer, f'an object of 1 to {MAXIMUM_INPUTS} inputs, {{name: {{"shape": […]}}}}', received)
        return ()
    return tuple(_input(name, entry, pointer_to(pointer, name), faults) for name, entry in value.items())


def _input(name: Any, entry: Any, pointer: str, faults: Faults) -> DraftInput:
    faults.read(draft.name, name, pointer)
    shape_pointer = pointer_to(pointer, "shape")
    shape = None
    if not isinstance(entry, Mapping):
        faults.add(pointer, 'an object like {"shape": [28, 28, 1]}', show(entry))
    else:
        refuse_unknown(entry, INPUT_FIELDS, pointer, faults)
        faults.read(float32, entry.get("dtype", "float32"), pointer_to(pointer, "dtype"))
        if entry.get("shape") is not None:
            shape = faults.read(draft.shape, entry["shape"], shape_pointer)
    return DraftInput(name, shape, pointer, shape_pointer)


def _layer(entry: Any, pointer: str, faults: Faults) -> DraftLayer | None:
    if not isinstance(entry, Mapping):
        faults.add(pointer, 'an object like {"type": "Dense", "units": 10}', show(entry))
        return None
    options = {key: value for key, value in entry.items() if key not in LAYER_FIELDS}
    name = None
    if entry.get("name") is not None:
        name = faults.read(draft.name, entry["name"], pointer_to(pointer, "name"))
    faults.read(float32, entry.get("dtype", "float32"), pointer_to(pointer, "dtype"))
    trainable = faults.read(boolean, entry.get("trainable", True), pointer_to(pointer, "trainable"), True)
    inputs_pointer = pointer_to(pointer, "inputs")
    inputs: tuple[Reference, ...] | None = None
    if entry.get("inputs") is not None:
        written = entry["inputs"]
        if isinstance(written, str):
            inputs = (Reference(written, inputs_pointer),)
        else:
            names = faults.read(_names, written, inputs_pointer, ())
            inputs = tuple(Reference(name, pointer_to(inputs_pointer, index)) for index, name in enumerate(names))
    return DraftLayer(type=entry.get("type"), type_pointer=pointer_to(pointer, "type"), options=options,
                      options_pointer=pointer, name=name, name_pointer=pointer_to(pointer, "name"), inputs=inputs,
                      inputs_pointer=inputs_pointer, pointer=pointer, trainable=trainable)


def _outputs(value: Any, pointer: str, faults: Faults) -> tuple[tuple[str, Reference], ...] | None:
    """`[layer, …]`, each output under its layer's name, or `{output: layer}`."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        pairs = [(name, layer, pointer_to(pointer, name)) for name, layer in value.items()]
    elif isinstance(value, (list, tuple)):
        pairs = [(layer, layer, pointer_to(pointer, index)) for index, layer in enumerate(value)]
    else:
        faults.add(pointer, "a list of layers' names or an object {output: layer}", show(value))
        return None
    if not 1 <= len(pairs) <= MAXIMUM_OUTPUTS:
        faults.add(pointer, f"1 to {MAXIMUM_OUTPUTS} outputs", f"{len(pairs)}")
        return ()
    outputs: dict[str, Reference] = {}
    for name, layer, at in pairs:
        output, read = faults.read(draft.name, name, at), faults.read(draft.name, layer, at)
        if output is None or read is None:
            continue
        if output in outputs:
            faults.add(at, "different outputs", f"{show(output)} twice")
        outputs[output] = Reference(read, at)
    return tuple(outputs.items())
