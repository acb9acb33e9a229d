"""What Keras 3's `model.to_json()` gives, as it is: Sequential and Functional models.

Only data is read: no class or module that is named there is ever imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.definition import draft
from engine.definition.draft import Draft, DraftInput, DraftLayer, Faults, Reference
from engine.definition.limits import MAXIMUM_INPUTS, MAXIMUM_LAYERS
from engine.definition.native import refuse_unknown
from engine.errors import Fault, pointer_to, show
from engine.options import Mismatch, Reader, boolean, sequence

MODEL_FIELDS = ("module", "class_name", "config", "registered_name", "build_config", "compile_config")
LAYER_FIELDS = ("module", "class_name", "config", "registered_name", "build_config", "name", "inbound_nodes")
INPUT_FIELDS = ("batch_shape", "dtype", "sparse", "ragged", "name", "optional")

_layers = sequence(Reader(lambda value, pointer: value, {}), 1, MAXIMUM_LAYERS + MAXIMUM_INPUTS)


def is_keras(document: Mapping[str, Any]) -> bool:
    """True for Keras's form."""
    return "class_name" in document and "config" in document


def read_keras(document: Mapping[str, Any], pointer: str, faults: Faults) -> Draft:
    """The draft of a Keras model; faults of its form are noted. Raises Mismatch if it is no such model at all."""
    refuse_unknown(document, MODEL_FIELDS, pointer, faults)
    kind, config, at = document["class_name"], document["config"], pointer_to(pointer, "config")
    if kind not in ("Sequential", "Functional", "Model"):
        raise Mismatch(pointer_to(pointer, "class_name"), "Sequential or Functional", kind)
    if not isinstance(config, Mapping):
        raise Mismatch(at, "an object", config)
    reader = _Reader(faults, at, functional=kind != "Sequential")
    return reader.read(config)


def _float32(value: Any, pointer: str) -> None:
    """A dtype or policy: its name, or Keras's object around the name."""
    name = value
    if isinstance(value, Mapping) and isinstance(value.get("config"), Mapping):
        name = value["config"].get("name")
    if name not in (None, "float32"):
        raise Mismatch(pointer, "float32", name)


class _Reader:
    """Reads one model's `config`."""

    def __init__(self, faults: Faults, pointer: str, *, functional: bool) -> None:
        self.faults = faults
        self.pointer = pointer
        self.functional = functional
        self.trainable = True
        self.inputs: list[DraftInput] = []
        self.layers: list[DraftLayer] = []

    def read(self, config: Mapping[str, Any]) -> Draft:
        """The whole draft."""
        faults, at = self.faults, self.pointer
        known = ("name", "trainable", "dtype", "layers",
                 *(("input_layers", "output_layers") if self.functional else ("build_input_shape",)))
        refuse_unknown(config, known, at, faults)
        faults.read(Reader(_float32, {}), config.get("dtype"), pointer_to(at, "dtype"))
        self.trainable = faults.read(boolean, config.get("trainable", True), pointer_to(at, "trainable"), True)
        name = faults.read(draft.name, config.get("name", "model"), pointer_to(at, "name"), "model")
        layers_at = pointer_to(at, "layers")
        for index, entry in enumerate(faults.read(_layers, config.get("layers"), layers_at, ())):
            self._entry(entry, pointer_to(layers_at, index))
        outputs = None
        if self.functional:
            outputs = self._outputs(config.get("output_layers"), pointer_to(at, "output_layers"))
        elif not self.inputs:
            self._built_input(config.get("build_input_shape"), pointer_to(at, "build_input_shape"))
        if not self.inputs:
            faults.add(layers_at, "an InputLayer", "none")
        if not self.layers:
            faults.add(layers_at, "a layer besides the inputs", "none")
        return Draft(name, tuple(self.inputs), tuple(self.layers), outputs, at, layers_at, layers_at,
                     pointer_to(at, "output_layers"))

    def _entry(self, entry: Any, at: str) -> None:
        config = entry.get("config") if isinstance(entry, Mapping) else None
        if not isinstance(config, Mapping):
            self.faults.add(at, 'a layer like {"class_name": "Dense", "config": {…}}', show(entry))
            return
        refuse_unknown(entry, LAYER_FIELDS, at, self.faults)
        if entry.get("registered_name") is not None:
            self.faults.add(pointer_to(at, "registered_name"), "null (custom classes are not supported)",
                            show(entry["registered_name"]))
        elif entry.get("class_name") == "InputLayer":
            self._input(config, pointer_to(at, "config"))
        elif entry.get("class_name") in ("Sequential", "Functional", "Model"):
            self.faults.add(pointer_to(at, "class_name"), "a layer (a model inside a model is not supported)",
                            show(entry["class_name"]))
        else:
            self._layer(entry, config, at)

    def _input(self, config: Mapping[str, Any], at: str) -> None:
        refuse_unknown(config, INPUT_FIELDS, at, self.faults)
        self.faults.read(Reader(_float32, {}), config.get("dtype"), pointer_to(at, "dtype"))
        for option in ("sparse", "ragged", "optional"):
            if config.get(option) not in (None, False):
                self.faults.add(pointer_to(at, option), "false", show(config[option]))
        name = self.faults.read(draft.name, config.get("name"), pointer_to(at, "name"), "input")
        if any(entry.name == name for entry in self.inputs):
            self.faults.add(pointer_to(at, "name"), "a name of its own", f"{show(name)}, which another input has")
        shape_at = pointer_to(at, "batch_shape")
        self.inputs.append(DraftInput(name, self._shape(config.get("batch_shape"), shape_at), at, shape_at))

    def _shape(self, value: Any, at: str) -> tuple[int, ...] | None:
        if not isinstance(value, (list, tuple)) or not value or value[0] is not None:
            self.faults.add(at, "a shape with an open batch, like [null, 28, 28, 1]", show(value))
            return None
        try:
            shape: tuple[int, ...] = draft.shape(value[1:], "")
        except Mismatch as mismatch:
            for fault in mismatch.faults:
                index = fault.pointer.removeprefix("/")
                self.faults.extend([Fault(pointer_to(at, int(index) + 1) if index else at, fault.detail)])
            return None
        return shape

    def _built_input(self, value: Any, at: str) -> None:
        """A Sequential without an InputLayer says what it was built with."""
        if value is not None:
            self.inputs.append(DraftInput("input", self._shape(value, at), at, at))

    def _layer(self, entry: Mapping[str, Any], config: Mapping[str, Any], at: str) -> None:
        config_at = pointer_to(at, "config")
        self.faults.read(Reader(_float32, {}), config.get("dtype"), pointer_to(config_at, "dtype"))
        trainable = self.faults.read(boolean, config.get("trainable", True), pointer_to(config_at, "trainable"), True)
        name = self.faults.read(draft.name, config.get("name"), pointer_to(config_at, "name"))
        options = {key: value for key, value in config.items() if key not in ("name", "trainable", "dtype")}
        calls_at = pointer_to(at, "inbound_nodes")
        calls = self._calls(entry.get("inbound_nodes"), calls_at) if self.functional else None
        self.layers.append(DraftLayer(
            type=entry.get("class_name"), type_pointer=pointer_to(at, "class_name"), options=options,
            options_pointer=config_at, name=name, name_pointer=pointer_to(config_at, "name"), inputs=calls,
            inputs_pointer=calls_at, pointer=at, trainable=trainable and self.trainable))

    def _calls(self, nodes: Any, at: str) -> tuple[Reference, ...]:
        """The tensors that the layer's one call reads."""
        if not isinstance(nodes, (list, tuple)) or len(nodes) != 1 or not isinstance(nodes[0], Mapping):
            received = f"{len(nodes)} calls" if isinstance(nodes, (list, tuple)) else show(nodes)
            self.faults.add(at, "one call of the layer (sharing a layer is not supported)", received)
            return ()
        kwargs = nodes[0].get("kwargs") or {}
        if not isinstance(kwargs, Mapping) or any(value is not None for value in kwargs.values()):
            self.faults.add(f"{at}/0/kwargs", "no keyword arguments", show(kwargs))
        found: list[Reference] = []
        self._tensors(nodes[0].get("args"), f"{at}/0/args", found, depth=0)
        if not found:
            self.faults.add(f"{at}/0/args", "the tensors that the layer reads", show(nodes[0].get("args")))
        return tuple(found)

    def _tensors(self, value: Any, at: str, found: list[Reference], depth: int) -> None:
        if isinstance(value, (list, tuple)) and depth < 2:
            for index, item in enumerate(value):
                self._tensors(item, pointer_to(at, index), found, depth + 1)
            return
        config = value.get("config") if isinstance(value, Mapping) else None
        history = config.get("keras_history") if isinstance(config, Mapping) else None
        reference = self._history(history, at)
        if reference is not None:
            found.append(reference)

    def _history(self, value: Any, at: str) -> Reference | None:
        """`[layer, call, tensor]`; with one call a layer and one tensor a call, both numbers are 0."""
        if isinstance(value, Sequence) and len(value) == 3 and isinstance(value[0], str) and list(value[1:]) == [0, 0]:
            return Reference(value[0], at)
        self.faults.add(at, "the first tensor of a layer's only call, like [\"dense\", 0, 0]", show(value))
        return None

    def _outputs(self, value: Any, at: str) -> tuple[tuple[str, Reference], ...]:
        if isinstance(value, Mapping):
            pairs = [(name, self._history(item, pointer_to(at, name))) for name, item in value.items()]
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], str):
            pairs = [(value[0], self._history(value, at))]
        elif isinstance(value, (list, tuple)) and value:
            histories = [self._history(item, pointer_to(at, index)) for index, item in enumerate(value)]
            pairs = [(history.name if history else "", history) for history in histories]
        else:
            self.faults.add(at, "the model's outputs", show(value))
            return ()
        return tuple((name, reference) for name, reference in pairs if reference is not None)
