"""What Keras 3's `model.to_json()` gives, as it is: Sequential and Functional models, and models inside of them.

Only data is read: no class or module that is named there is ever imported. What a layer's call is given as `training`
has no effect, as in Keras 3: `fit` and `predict` decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.definition import draft
from engine.definition.draft import Draft, DraftCall, DraftInput, DraftLayer, Faults, Reference
from engine.definition.limits import MAXIMUM_DEPTH, MAXIMUM_INPUTS, MAXIMUM_LAYERS
from engine.definition.native import refuse_unknown
from engine.definition.operations import constants, is_operation, meaning
from engine.errors import Fault, pointer_to, show
from engine.options import Mismatch, Reader, boolean, sequence

MODEL_FIELDS = ("module", "class_name", "config", "registered_name", "build_config", "compile_config")
LAYER_FIELDS = ("module", "class_name", "config", "registered_name", "build_config", "name", "inbound_nodes",
                "compile_config")
INPUT_FIELDS = ("batch_shape", "dtype", "sparse", "ragged", "name", "optional")
INPUT_DTYPES = (None, "float32", "int32", "int64", "uint8")
"""Of an input: the engine takes numbers as float32, where codes up to 2^24 are exact."""
MODELS = ("Sequential", "Functional", "Model")
MASK_OPERATIONS = ("NotEqual", "Any", "ConvertToTensor", "LogicalAnd", "LogicalOr", "ExpandDims", "Cast")
"""Operations that Keras writes for the masks that travel beside values, and hands on as `mask` to the layers' calls."""

_layers = sequence(Reader(lambda value, pointer: value, {}), 1, MAXIMUM_LAYERS + MAXIMUM_INPUTS)


def is_keras(document: Mapping[str, Any]) -> bool:
    """True for Keras's form."""
    return "class_name" in document and "config" in document


def read_keras(document: Mapping[str, Any], pointer: str, faults: Faults, depth: int = 0) -> Draft:
    """The draft of a Keras model; faults of its form are noted. Raises Mismatch if it is no such model at all."""
    refuse_unknown(document, MODEL_FIELDS if not depth else LAYER_FIELDS, pointer, faults)
    kind, config, at = document["class_name"], document["config"], pointer_to(pointer, "config")
    if kind not in MODELS:
        raise Mismatch(pointer_to(pointer, "class_name"), "Sequential or Functional", kind)
    refuse_custom(document, pointer, faults)
    if not isinstance(config, Mapping):
        raise Mismatch(at, "an object", config)
    if depth > MAXIMUM_DEPTH:
        raise Mismatch(pointer, f"at most {MAXIMUM_DEPTH} models inside each other", "more")
    read = _Reader(faults, at, functional=kind != "Sequential", depth=depth).read(config)
    return replace(read, compiled=None if depth else draft.read_compiled(document, pointer, faults))


def refuse_custom(document: Mapping[str, Any], pointer: str, faults: Faults) -> bool:
    """Note a class of the user's own; True for one."""
    custom = document.get("registered_name") not in (None, document.get("class_name"))
    if custom:
        faults.add(pointer_to(pointer, "registered_name"), "null (custom classes are not supported)",
                   show(document["registered_name"]))
    return custom


def _float32(value: Any, pointer: str) -> None:
    """A dtype or policy: its name, or Keras's object around the name."""
    name = value
    if isinstance(value, Mapping) and isinstance(value.get("config"), Mapping):
        name = value["config"].get("name")
    if name not in (None, "float32"):
        raise Mismatch(pointer, "float32 (the engine computes in it throughout)", name)


class _Reader:
    """Reads one model's `config`."""

    def __init__(self, faults: Faults, pointer: str, *, functional: bool, depth: int) -> None:
        self.faults = faults
        self.pointer = pointer
        self.functional = functional
        self.depth = depth
        self.inputs: list[DraftInput] = []
        self.layers: list[DraftLayer] = []
        self.calls: list[DraftCall] = []
        self.masks: set[str] = set()
        """Names of operations that only make masks."""

    def read(self, config: Mapping[str, Any]) -> Draft:
        """The whole draft."""
        faults, at = self.faults, self.pointer
        known = ("name", "trainable", "dtype", "layers",
                 *(("input_layers", "output_layers") if self.functional else ("build_input_shape",)))
        refuse_unknown(config, known, at, faults)
        faults.read(Reader(_float32, {}), config.get("dtype"), pointer_to(at, "dtype"))
        # A nested model's own `trainable` belongs to the layer that it is in the outer one.
        trainable = self.depth > 0 or self._trainable(config, at)
        name = faults.read(draft.name, config.get("name", "model"), pointer_to(at, "name"), "model")
        layers_at = pointer_to(at, "layers")
        for index, entry in enumerate(faults.read(_layers, config.get("layers"), layers_at, ())):
            self._entry(entry, pointer_to(layers_at, index))
        outputs, keys = None, None
        if self.functional:
            outputs = self._outputs(config.get("output_layers"), pointer_to(at, "output_layers"))
            keys = self._input_order(config.get("input_layers"), pointer_to(at, "input_layers"))
        elif not self.inputs:
            self._built_input(config.get("build_input_shape"), pointer_to(at, "build_input_shape"))
        if not self.inputs:
            faults.add(layers_at, "an InputLayer", "none")
        if not self.layers:
            faults.add(layers_at, "a layer besides the inputs", "none")
        layers = self.layers if trainable else [replace(layer, trainable=False) for layer in self.layers]
        return Draft(name, tuple(self.inputs), tuple(layers), tuple(self.calls), outputs, at, layers_at, layers_at,
                     pointer_to(at, "output_layers"), keys)

    def _trainable(self, config: Mapping[str, Any], at: str) -> bool:
        return bool(self.faults.read(boolean, config.get("trainable", True), pointer_to(at, "trainable"), True))

    def _entry(self, entry: Any, at: str) -> None:
        config = entry.get("config") if isinstance(entry, Mapping) else None
        if not isinstance(config, Mapping):
            self.faults.add(at, 'a layer like {"class_name": "Dense", "config": {…}}', show(entry))
            return
        refuse_unknown(entry, LAYER_FIELDS, at, self.faults)
        if entry.get("class_name") in MODELS:
            self._model(entry, config, at)
        elif is_operation(entry) and self._only_makes_masks(entry):
            self.masks.add(str(entry.get("name")))  # masks follow from the layers that make them
        elif refuse_custom(entry, at, self.faults):
            pass
        elif is_operation(entry):
            self._operation(entry, config, at)
        elif entry.get("class_name") == "InputLayer":
            self._input(config, pointer_to(at, "config"))
        else:
            self._layer(entry, config, at)

    def _input(self, config: Mapping[str, Any], at: str) -> None:
        refuse_unknown(config, INPUT_FIELDS, at, self.faults)
        if config.get("dtype") not in INPUT_DTYPES:
            self.faults.add(pointer_to(at, "dtype"), f"one of {', '.join(filter(None, INPUT_DTYPES))}",
                            show(config["dtype"]))
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
        if self.depth and any(dim is None for dim in value[1:]):
            return None  # what the model is given decides
        try:
            shape: tuple[int, ...] = draft.shape(value[1:], "")
        except Mismatch as mismatch:
            for fault in mismatch.faults:
                index = fault.pointer.removeprefix("/")
                self.faults.extend([Fault(pointer_to(at, int(index) + 1) if index else at, fault.detail)])
            return None
        return shape

    def _built_input(self, value: Any, at: str) -> None:
        """A Sequential without an InputLayer says what it was built with; one inside a model needs not."""
        if value is not None:
            self.inputs.append(DraftInput("input", self._shape(value, at), at, at))
        elif self.depth:
            self.inputs.append(DraftInput("input", None, at, at))

    def _model(self, entry: Mapping[str, Any], config: Mapping[str, Any], at: str) -> None:
        """A model in the place of a layer."""
        config_at = pointer_to(at, "config")
        name = self.faults.read(draft.name, config.get("name"), pointer_to(config_at, "name"))
        try:
            model = read_keras(entry, at, self.faults, self.depth + 1)
        except Mismatch as mismatch:
            self.faults.extend(mismatch.faults)
            return
        self._add(DraftLayer(
            type=entry["class_name"], type_pointer=pointer_to(at, "class_name"), options={}, options_pointer=config_at,
            name=name, name_pointer=pointer_to(config_at, "name"), pointer=at,
            trainable=self._trainable(config, config_at), model=model), entry, at)

    def _layer(self, entry: Mapping[str, Any], config: Mapping[str, Any], at: str) -> None:
        config_at = pointer_to(at, "config")
        self.faults.read(Reader(_float32, {}), config.get("dtype"), pointer_to(config_at, "dtype"))
        name = self.faults.read(draft.name, config.get("name"), pointer_to(config_at, "name"))
        options = {key: value for key, value in config.items() if key not in ("name", "trainable", "dtype")}
        self._add(DraftLayer(
            type=entry.get("class_name"), type_pointer=pointer_to(at, "class_name"), options=options,
            options_pointer=config_at, name=name, name_pointer=pointer_to(config_at, "name"), pointer=at,
            trainable=self._trainable(config, config_at)), entry, at)

    def _operation(self, entry: Mapping[str, Any], config: Mapping[str, Any], at: str) -> None:
        """An operation of keras.ops as the layer that does the same; numbers among its operands become options."""
        config_at, nodes = pointer_to(at, "config"), entry.get("inbound_nodes")
        name, written = self.faults.read(draft.name, config.get("name"), pointer_to(config_at, "name")), str(
            entry.get("class_name"))
        given = constants(written, nodes, _is_constant)
        type, options = meaning(written, config)
        for index, node in enumerate(nodes[1:] if given and isinstance(nodes, (list, tuple)) else (), 1):
            if constants(written, [node], _is_constant) != given:
                self.faults.add(pointer_to(pointer_to(at, "inbound_nodes"), index), "the constants of the first call",
                                show(node))
        self._add(DraftLayer(
            type=type, type_pointer=pointer_to(at, "class_name"), options={**options, **given},
            options_pointer=config_at, name=name, name_pointer=pointer_to(config_at, "name"), pointer=at),
            {**entry, "inbound_nodes": _without_constants(nodes, given)}, at)

    def _add(self, layer: DraftLayer, entry: Mapping[str, Any], at: str) -> None:
        """Append a layer and its calls: those written, or in a Sequential one of what comes before."""
        position, calls_at = len(self.layers), pointer_to(at, "inbound_nodes")
        self.layers.append(layer)
        if not self.functional:
            self.calls.append(DraftCall(position, None, at, at))
            return
        nodes = entry.get("inbound_nodes")
        if not isinstance(nodes, (list, tuple)) or not nodes:
            self.faults.add(calls_at, "the calls of the layer", show(nodes))
            nodes = ()
        for index, node in enumerate(nodes):
            self._call(position, node, pointer_to(calls_at, index))

    def _call(self, layer: int, node: Any, at: str) -> None:
        """One call: tensors by position and by name, and plain arguments."""
        if not isinstance(node, Mapping):
            self.faults.add(at, 'a call like {"args": […], "kwargs": {…}}', show(node))
            return
        args, kwargs = node.get("args") or (), node.get("kwargs") or {}
        args_at, kwargs_at = pointer_to(at, "args"), pointer_to(at, "kwargs")
        if not isinstance(kwargs, Mapping) or not isinstance(args, (list, tuple)):
            self.faults.add(at, "a list of args and an object of kwargs", show(node))
            return
        inputs: list[Reference] = []
        keywords: dict[str, tuple[Reference, ...]] = {}
        arguments: dict[str, Any] = {}
        for index, value in enumerate(args):
            if isinstance(value, Mapping) and not _is_tensor(value):
                keywords |= self._named(value, pointer_to(args_at, index))
            else:
                inputs += self._tensors(value, pointer_to(args_at, index))
        for name, value in kwargs.items():
            if name == "training" and (value is None or isinstance(value, bool)):
                continue
            if name.endswith("mask") and self._is_implied(value):
                continue
            if any(_is_tensor(leaf) for leaf in _leaves(value)):
                keywords[name] = tuple(self._tensors(value, pointer_to(kwargs_at, name)))
            elif any(leaf is not None for leaf in _leaves(value)):
                arguments[name] = value
        if not inputs and not keywords:
            self.faults.missing(args_at, "the tensors that the layer reads")
        self.calls.append(DraftCall(layer, tuple(inputs), args_at, at, keywords, arguments, kwargs_at))

    def _only_makes_masks(self, entry: Mapping[str, Any]) -> bool:
        """Is this operation one of those that Keras writes for masks? A dimension may also be added to values."""
        if entry.get("class_name") != "ExpandDims":
            return entry.get("class_name") in MASK_OPERATIONS
        nodes = entry.get("inbound_nodes")
        return isinstance(nodes, (list, tuple)) and self._is_implied([
            node.get("args") for node in nodes if isinstance(node, Mapping)])

    def _is_implied(self, value: Any) -> bool:
        """Is this a mask that Keras computed of masks beside values?"""
        histories = [leaf["config"].get("keras_history") for leaf in _leaves(value)
                     if _is_tensor(leaf) and isinstance(leaf.get("config"), Mapping)]
        return bool(histories) and all(_is_history(history) and history[0] in self.masks for history in histories)

    def _named(self, value: Mapping[str, Any], at: str) -> dict[str, tuple[Reference, ...]]:
        """Tensors in an object by their keys: what a nested model with inputs by name is given."""
        return {name: tuple(self._tensors(item, pointer_to(at, name))) for name, item in value.items()}

    def _tensors(self, value: Any, at: str, depth: int = 0) -> list[Reference]:
        if isinstance(value, (list, tuple)) and depth < 2:
            return [found for index, item in enumerate(value)
                    for found in self._tensors(item, pointer_to(at, index), depth + 1)]
        config = value.get("config") if isinstance(value, Mapping) else None
        history = config.get("keras_history") if isinstance(config, Mapping) else None
        reference = self._history(history, at)
        return [] if reference is None else [reference]

    def _history(self, value: Any, at: str) -> Reference | None:
        """`[layer, call, tensor]`."""
        if _is_history(value):
            return Reference(value[0], at, value[1], value[2])
        self.faults.add(at, 'a tensor of a layer\'s call, like ["dense", 0, 0]', show(value))
        return None

    def _outputs(self, value: Any, at: str) -> tuple[tuple[str, Reference], ...]:
        """Outputs under their keys, or their layers' names."""
        if value is None or value in ([], {}):
            self.faults.add(at, "the model's outputs", show(value))
            return ()
        models = {layer.name for layer in self.layers if layer.type != "Sequential" and layer.model}
        found: dict[str, Reference] = {}
        for key, history, place in _histories(value, at):
            read = self._history(history, place)
            if read is None:
                continue
            if read.name in models:  # Keras counts the call that made the model as its first one
                read = replace(read, call=read.call - 1)
            name, number = key or read.name, 0
            while name in found:
                number += 1
                name = f"{key or read.name}_{number}"
            found[name] = read
        return tuple(found.items())

    def _input_order(self, value: Any, at: str) -> tuple[str, ...] | None:
        """Put the inputs into the order in which a call gives them; the keys by which it names them."""
        if value is None:
            return None
        by_name = {entry.name: entry for entry in self.inputs}
        ordered: dict[str, DraftInput] = {}
        for key, history, place in _histories(value, at):
            read = self._history(history, place)
            if read is not None and read.name in by_name:
                ordered[key or read.name] = by_name.pop(read.name)
            elif read is not None:
                self.faults.add(place, "the name of an input", show(read.name))
        self.inputs = [*ordered.values(), *by_name.values()]
        return (*ordered, *by_name)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__"


def _is_constant(value: Any) -> bool:
    return value is not None and not any(_is_tensor(leaf) for leaf in _leaves(value))


def _without_constants(nodes: Any, given: Mapping[str, Any]) -> Any:
    """The calls of an operation with nothing but tensors, where it is given constants besides."""
    if not given:
        return nodes
    return [{**node, "args": [value for value in node.get("args") or () if not _is_constant(value)]}
            if isinstance(node, Mapping) else node for node in nodes]


def _is_history(value: Any) -> bool:
    return (isinstance(value, Sequence) and len(value) == 3 and isinstance(value[0], str)
            and all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in value[1:]))


def _leaves(value: Any, depth: int = 0) -> Iterator[Any]:
    """What a structure of lists and objects holds; a tensor is one thing."""
    if _is_tensor(value) or depth > MAXIMUM_DEPTH:
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item, depth + 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item, depth + 1)
    else:
        yield value


def _histories(value: Any, at: str, depth: int = 0) -> Iterator[tuple[str, Any, str]]:
    """Key (or nothing), tensor and place, of a tensor, a list or an object of them."""
    if isinstance(value, Mapping):
        for name, item in sorted(value.items()):  # in the order in which Keras numbers them
            yield str(name), item, pointer_to(at, name)
    elif isinstance(value, (list, tuple)) and value and not isinstance(value[0], str) and depth < 2:
        for index, item in enumerate(value):
            yield from _histories(item, pointer_to(at, index), depth + 1)
    else:
        yield "", value, at
