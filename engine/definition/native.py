"""The native form of a model: `{"inputs": {name: {"shape"}}, "layers": [{"type", …}], "outputs"?}`.

A layer reads the one before it, or its `inputs`: names of inputs and layers, `lstm:1` for a layer's second output, or
an object that names the parameters of the layer's call. `{"use": "dense"}` calls a layer again, with the same weights;
`{"model": {…}}` is a model in the place of a layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engine.definition import draft
from engine.definition.draft import Draft, DraftCall, DraftInput, DraftLayer, Faults, Reference
from engine.definition.limits import MAXIMUM_DEPTH, MAXIMUM_INPUTS, MAXIMUM_LAYERS, MAXIMUM_OUTPUTS
from engine.errors import nearest, pointer_to, show
from engine.options import Mismatch, Reader, boolean, only, sequence, text

FIELDS = ("name", "inputs", "layers", "outputs", "compile_config")
INPUT_FIELDS = ("shape", "dtype")
CALL_FIELDS = ("name", "inputs", "arguments")
LAYER_FIELDS = ("type", "trainable", "dtype", *CALL_FIELDS)
"""What every layer has besides its options."""

_any = Reader(lambda value, pointer: value, {})
_layers = sequence(_any, 1, MAXIMUM_LAYERS)
_text = text()
_names = sequence(_text, 1, MAXIMUM_LAYERS)
float32 = only("float32", "the engine computes in float32, and converts integer columns itself")


def read_native(document: Mapping[str, Any], pointer: str, faults: Faults, depth: int = 0) -> Draft:
    """The draft of a native definition; what is at fault in its form is noted and left out.

    Raises Mismatch for models nested too deeply.
    """
    if depth > MAXIMUM_DEPTH:
        raise Mismatch(pointer, f"at most {MAXIMUM_DEPTH} models inside each other", "more")
    refuse_unknown(document, FIELDS, pointer, faults)
    written = document.get("inputs")
    inputs = () if written is None else _inputs(written, pointer_to(pointer, "inputs"), faults)
    layers_pointer = pointer_to(pointer, "layers")
    reader = _Layers(faults, depth)
    for index, entry in enumerate(faults.read(_layers, document.get("layers"), layers_pointer, ())):
        reader.entry(entry, pointer_to(layers_pointer, index))
    reader.connect()
    outputs = _outputs(document.get("outputs"), pointer_to(pointer, "outputs"), faults)
    name = faults.read(draft.name, document.get("name", "model"), pointer_to(pointer, "name"), "model")
    return Draft(name, inputs, tuple(reader.layers), tuple(reader.calls), outputs, pointer, layers_pointer,
                 pointer_to(pointer, "inputs"), pointer_to(pointer, "outputs"),
                 compiled=draft.read_compiled(document, pointer, faults))


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


class _Layers:
    """Reads `layers`: every entry is a call, of a layer that it defines or of one that it names."""

    def __init__(self, faults: Faults, depth: int) -> None:
        self.faults, self.depth = faults, depth
        self.layers: list[DraftLayer] = []
        self.calls: list[DraftCall] = []
        self.uses: dict[int, Reference] = {}
        """The layers that calls name, by the calls' positions."""

    def entry(self, entry: Any, pointer: str) -> None:
        """Read one entry."""
        if not isinstance(entry, Mapping):
            self.faults.add(pointer, 'an object like {"type": "Dense", "units": 10}', show(entry))
        elif "use" in entry:
            refuse_unknown(entry, ("use", *CALL_FIELDS), pointer, self.faults)
            at = pointer_to(pointer, "use")
            used = self.faults.read(draft.path, entry["use"], at)
            if used is not None:
                self.uses[len(self.calls)] = Reference(used, at)
                self.calls.append(replace(self._call(entry, -1, pointer), name=self._name(entry, pointer),
                                          name_pointer=pointer_to(pointer, "name")))
        elif "model" in entry:
            self._model(entry, pointer)
        else:
            self._layer(entry, pointer)

    def connect(self) -> None:
        """Let every use find its layer, wherever it stands."""
        known = {layer.name: index for index, layer in enumerate(self.layers) if layer.name is not None}
        lost = set()
        for position, used in self.uses.items():
            if used.name in known:
                self.calls[position] = replace(self.calls[position], layer=known[used.name])
            else:
                self.faults.add(used.pointer, "the name of a layer", f"{show(used.name)}{nearest(used.name, known)}")
                lost.add(position)
        self.calls = [call for position, call in enumerate(self.calls) if position not in lost]

    def _name(self, entry: Mapping[str, Any], pointer: str) -> str | None:
        if entry.get("name") is None:
            return None
        name: str | None = self.faults.read(draft.path, entry["name"], pointer_to(pointer, "name"))
        return name

    def _layer(self, entry: Mapping[str, Any], pointer: str) -> None:
        options = {key: value for key, value in entry.items() if key not in LAYER_FIELDS}
        self.faults.read(float32, entry.get("dtype", "float32"), pointer_to(pointer, "dtype"))
        self._add(entry, pointer, entry.get("type"), options, None)

    def _model(self, entry: Mapping[str, Any], pointer: str) -> None:
        from engine.definition.model import draft_model

        refuse_unknown(entry, ("model", "trainable", *CALL_FIELDS), pointer, self.faults)
        try:
            model = draft_model(entry["model"], pointer_to(pointer, "model"), self.faults, self.depth + 1)
        except Mismatch as mismatch:
            self.faults.extend(mismatch.faults)
            return
        if not model.inputs:
            self.faults.missing(model.inputs_pointer, "the inputs of a model inside a model")
        self._add(entry, pointer, "Model", {}, model)

    def _add(self, entry: Mapping[str, Any], pointer: str, type: Any, options: Mapping[str, Any],
             model: Draft | None) -> None:
        trainable = self.faults.read(boolean, entry.get("trainable", True), pointer_to(pointer, "trainable"), True)
        self.layers.append(DraftLayer(
            type=type, type_pointer=pointer_to(pointer, "type"), options=options, options_pointer=pointer,
            name=self._name(entry, pointer), name_pointer=pointer_to(pointer, "name"), pointer=pointer,
            trainable=trainable, model=model))
        self.calls.append(self._call(entry, len(self.layers) - 1, pointer))

    def _call(self, entry: Mapping[str, Any], layer: int, pointer: str) -> DraftCall:
        """What the entry reads."""
        at, arguments_at = pointer_to(pointer, "inputs"), pointer_to(pointer, "arguments")
        arguments = entry.get("arguments")
        if arguments is not None and not isinstance(arguments, Mapping):
            self.faults.add(arguments_at, "an object of arguments of the layer's call", show(arguments))
            arguments = None
        written = entry.get("inputs")
        inputs: tuple[Reference, ...] | None = None
        keywords: dict[str, tuple[Reference, ...]] = {}
        if isinstance(written, Mapping):
            inputs = ()
            keywords = {name: self._several(value, pointer_to(at, name)) for name, value in written.items()}
        elif written is not None:
            inputs = self._several(written, at)
        return DraftCall(layer, inputs, at, pointer, keywords, dict(arguments or {}), arguments_at)

    def _several(self, written: Any, at: str) -> tuple[Reference, ...]:
        """One name, or a list of them."""
        if isinstance(written, str):
            found = [self.faults.read(value_name, written, at)]
        else:
            names = self.faults.read(_names, written, at, ())
            found = [self.faults.read(value_name, name, pointer_to(at, index)) for index, name in enumerate(names)]
        return tuple(reference for reference in found if reference is not None)


def _value_name(value: Any, pointer: str) -> Reference:
    """`dense`, or `lstm:1` for a second output."""
    name, colon, output = _text(value, pointer).partition(":")
    if colon and not (output.isascii() and output.isdigit() and len(output) < 6):
        raise Mismatch(pointer, "a name, or the name and number of an output like lstm:1", value)
    return Reference(draft.path(name, pointer), pointer, output=int(output or 0))


value_name = Reader(_value_name, {"type": "string"})


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
        read = faults.read(value_name, layer, at)
        output = faults.read(draft.name, name, at) if isinstance(value, Mapping) else read and read.name.split("/")[-1]
        if output is None or read is None:
            continue
        if output in outputs:
            faults.add(at, "different outputs", f"{show(output)} twice")
        outputs[output] = read
    return tuple(outputs.items())
