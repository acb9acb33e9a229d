"""A model as Keras 3 writes it: the config of a Functional, and where Keras looks for each layer's variables.

Nested models come out flat: the layer `encoder/dense` is called `encoder_dense`, as Keras allows no slash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from engine import registry
from engine.definition.model import LayerNode, Model
from engine.errors import WeightsError
from engine.graph.build import forward_graph
from engine.graph.references import call_of
from engine.layers.base import type_name

MODULES = {"layer": "keras.layers", "cell": "keras.layers", "initializer": "keras.initializers",
           "regularizer": "keras.regularizers", "constraint": "keras.constraints"}
"""Where Keras keeps what we register as these kinds."""


@dataclass(frozen=True)
class KerasModel:
    """A model in Keras's terms."""

    model: Model

    @cached_property
    def names(self) -> dict[str, str]:
        """Keras's name of each input and layer."""
        taken: dict[str, str] = {}
        for name in (*self.model.inputs, *(node.name for node in self._layers)):
            plain, number = name.replace("/", "_"), 0
            while (candidate := f"{plain}_{number}" if number else plain) in taken.values():
                number += 1
            taken[name] = candidate
        return taken

    @cached_property
    def _layers(self) -> list[LayerNode]:
        """The first call of each layer."""
        return [node for node in self.model.layers if node.shares is None]

    @cached_property
    def _weighted(self) -> set[str]:
        """The layers that have variables."""
        return {variable.layer for variable in forward_graph(self.model)[1].variables}

    @cached_property
    def _calls(self) -> dict[str, tuple[str, int]]:
        """For every input and call: the layer that makes it, and which of its calls that is."""
        made = {name: (name, 0) for name in self.model.inputs}
        counts: dict[str, int] = {}
        for node in self.model.layers:
            made[node.name] = (node.owner, counts.setdefault(node.owner, 0))
            counts[node.owner] += 1
        return made

    def document(self) -> dict[str, Any]:
        """What `keras.models.model_from_json` reads."""
        model = self.model
        inputs = [self._history(name) for name in model.inputs]
        outputs = [self._history(value) for value in model.outputs.values()]
        layers = [self._input(name) for name in model.inputs] + [self._layer(node) for node in self._layers]
        config = {"name": model.name.replace("/", "_"), "trainable": True, "layers": layers,
                  "input_layers": inputs if len(inputs) > 1 else inputs[0],
                  "output_layers": outputs if len(outputs) > 1 else outputs[0]}
        return {**_object("keras.src.models.functional", "Functional", config), "registered_name": "Functional"}

    def _input(self, name: str) -> dict[str, Any]:
        config = {"batch_shape": [None, *self.model.inputs[name]], "dtype": "float32", "name": self.names[name]}
        return {**_object("keras.layers", "InputLayer", config), "name": self.names[name], "inbound_nodes": []}

    def _layer(self, node: LayerNode) -> dict[str, Any]:
        name = self.names[node.name]
        config = {"name": name, **_options(node.layer, node.name), **node.layer.keras_options()}
        config = {key: value for key, value in config.items() if key not in node.layer.constants}
        if not node.trainable and node.name in self._weighted:  # some layers without weights do not know the option
            config["trainable"] = False
        calls = [self._call(call) for call in self.model.layers if call.owner == node.name]
        written = _object(node.layer.keras_module, type_name(node.layer).rpartition(".")[2], config)
        return {**written, "name": name, "inbound_nodes": calls}

    def _call(self, call: LayerNode) -> dict[str, Any]:
        tensors: list[Any] = [self._tensor(value) for value in call.inputs]
        if call.layer.constants:
            left, options = iter(tensors), call.layer.keras_options()
            given = (options.get(name, _constant(getattr(call.layer, name, None))) for name in call.layer.constants)
            return {"args": [next(left) if value is None else value for value in given], "kwargs": {}}
        places = len(call.layer.positions)
        if len(tensors) > places or (places == 1 and call.layer.arity != (1, 1)):  # the last one takes a list
            tensors = [*tensors[:places - 1], tensors[places - 1:]]
        return {"args": tensors,
                "kwargs": {**{name: self._tensor(value) for name, value in call.keywords.items()}, **call.arguments}}

    def _tensor(self, value: str) -> dict[str, Any]:
        shape = [None, *self.model.types[value].shape[1:]]
        return {"class_name": "__keras_tensor__",
                "config": {"shape": shape, "dtype": "float32", "keras_history": self._history(value)}}

    def _history(self, value: str) -> list[Any]:
        owner, call = self._calls[call_of(value)]
        return [self.names[owner], call, int(value.partition(":")[2] or 0)]

    def paths(self) -> dict[str, str]:
        """The group of each layer and input in Keras's weights files: its class and its place among those of it."""
        types = {node.name: node.layer.keras_class or type_name(node.layer) for node in self._layers}
        counts: dict[str, int] = {}
        found = {}
        for name in self._ordered():
            group = registry.snake_case(types.get(name, "InputLayer"))
            count = counts[group] = counts.get(group, -1) + 1
            found[name] = f"layers/{group}_{count}" if count else f"layers/{group}"
        return found

    def _ordered(self) -> list[str]:
        """Inputs and layers as Keras's Functional orders them: farthest from the outputs first, then as met from them.

        The distance of a layer is the largest of its calls'; its calls count as that far away (Keras 3 `map_graph`).
        """
        calls = {node.name: node for node in self.model.layers}
        finished: dict[str, None] = {}
        met: dict[str, int] = {}
        for start in self.model.outputs.values():
            self._meet(call_of(start), calls, finished, met)
        depths: dict[str, int] = {}
        of_layer: dict[str, int] = {}
        for name in reversed(finished):
            owner = self._calls[name][0]
            depth = max(depths.get(name, 0), of_layer.get(owner, 0))
            of_layer[owner] = depths[name] = depth
            for source in _sources(calls.get(name)):
                depths[source] = max(depth + 1, depths.get(source, 0))
        return sorted(of_layer, key=lambda owner: (-of_layer[owner], met[owner]))

    def _meet(self, start: str, calls: Mapping[str, LayerNode], finished: dict[str, None], met: dict[str, int]) -> None:
        """Walk backwards from a call, sources in their order, and note when each layer is first met."""
        path: list[tuple[str, Iterator[str]]] = []

        def enter(name: str) -> None:
            met.setdefault(self._calls[name][0], len(met))
            path.append((name, _sources(calls.get(name))))

        if start not in finished:
            enter(start)
        while path:
            name, sources = path[-1]
            source = next((source for source in sources if source not in finished), None)
            if source is None:
                finished[name] = None
                path.pop()
            else:
                enter(source)


def _sources(node: LayerNode | None) -> Iterator[str]:
    """The inputs and calls that a call reads, in the order in which Keras lists its tensors."""
    return iter(()) if node is None else map(call_of, (*node.inputs, *node.keywords.values()))


def _object(module: str, name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": dict(config), "registered_name": None}


def _constant(value: Any) -> Any:
    """A number, or an array as Keras serialises it; None stays."""
    if value is None or isinstance(value, (int, float)):
        return value
    return {"class_name": "__numpy__", "config": {"value": value, "dtype": "float32"}}


def _options(entry: object, place: str) -> dict[str, Any]:
    return {field.name: _written(getattr(entry, field.name), f"{place}: {field.name}")
            for field in fields(entry) if "reader" in field.metadata}  # type: ignore[arg-type]


def _written(value: Any, place: str) -> Any:
    """An option's value as Keras serialises it. Raises WeightsError where Keras has no way to."""
    if isinstance(value, (list, tuple)):
        return [_written(item, place) for item in value]
    if isinstance(value, Mapping):
        return {name: _written(item, place) for name, item in value.items()}
    kind = getattr(value, "kind", None)
    if kind == "activation":
        if value != type(value)():
            raise WeightsError(f"{place}: Keras cannot store {type_name(value)} with options of its own inside a "
                               "layer; use the layer of that function")
        return type_name(value)
    if kind in ("layer", "cell"):
        options = {**_options(value, place), **value.keras_options()}
        return _object(MODULES[kind], type_name(value), options)
    if kind in MODULES:
        return _object(MODULES[kind], type_name(value), _options(value, place))
    return value
