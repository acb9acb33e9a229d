"""Models inside models become one list of calls: a nested model's layers with its name before theirs.

Each call of a nested model calls all its layers; what they share follows from the layers' own paths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.definition.draft import DraftCall, DraftLayer, Faults
from engine.definition.limits import MAXIMUM_LAYERS
from engine.definition.resolve import Read, Resolved, Step
from engine.errors import nearest, pointer_to, show
from engine.graph.references import call_of, reference
from engine.layers.base import Layer


@dataclass(frozen=True)
class Flat:
    """One call of one layer. `name` is the call's path, `owner` the layer's, which has the weights."""

    name: str
    owner: str
    layer: Layer
    inputs: tuple[Read, ...]
    keywords: Mapping[str, Read]
    arguments: Mapping[str, Any]
    trainable: bool
    written: DraftLayer
    call: DraftCall
    declared: tuple[tuple[tuple[int, ...] | None, str], ...] = ()
    """For each of `inputs` the shape, and its place, that it was declared with as an input of a nested model."""


def flatten(model: Resolved, faults: Faults) -> tuple[list[Flat], dict[str, Read]]:
    """All calls in an execution order, and the model's outputs by name."""
    found: list[Flat] = []
    inputs: dict[str, tuple[Read, ...]] = {
        entry.name: (Read(entry.name, entry.pointer),) for entry in model.draft.inputs}
    outputs = _Flattener(found, faults).model(model, inputs, "", "", trainable=True)
    names: set[str] = set()
    for flat in found:
        if flat.name in names:
            faults.add(flat.written.name_pointer, "a name of its own", f"{show(flat.name)}, which another layer has")
        names.add(flat.name)
    return found, outputs


class _Flattener:
    def __init__(self, found: list[Flat], faults: Faults) -> None:
        self.found = found
        self.faults = faults

    def model(self, model: Resolved, values: dict[str, tuple[Read, ...]], prefix: str, owner: str, *,
              trainable: bool) -> dict[str, Read]:
        """Append a model's calls. `values` has for each input what it stands for; the outputs come back by name."""
        for step in model.steps:
            written, layer = model.draft.layers[step.layer], model.layers[step.layer]
            inputs = tuple(self._follow(read, values) for read in step.inputs)
            keywords = {name: tuple(self._follow(read, values) for read in several)
                        for name, several in step.keywords.items()}
            name, path = prefix + step.name, owner + model.names[step.layer]
            if len(self.found) >= MAXIMUM_LAYERS:
                self.faults.add(written.pointer, f"at most {MAXIMUM_LAYERS} calls of layers, those in nested models "
                                "counted for each of its calls", f"more, up to {name}")
                self.faults.stop()
            inside = trainable and written.trainable
            if isinstance(layer, Resolved):
                given = self._bind(layer, step, inputs, keywords)
                if given is None:
                    continue
                outputs = self.model(layer, given, f"{name}/", f"{path}/", trainable=inside)
                values[step.name] = tuple(outputs.values())
            elif layer is not None:
                values[step.name] = (Read(name, step.call.pointer),)
                self._layer(layer, step, inputs, keywords, Flat(
                    name, path, layer, (), {}, {}, inside, written, step.call, self._declared(model, step, values)))
        return {name: self._follow(read, values) for name, read in model.outputs.items()}

    @staticmethod
    def _follow(read: Read, values: Mapping[str, tuple[Read, ...]]) -> Read:
        """What a value of this model is called in the whole."""
        name, _, output = read.value.partition(":")
        if name not in values:
            return read
        several, index = values[name], int(output or 0)
        if len(several) == 1 and index:  # an output of a layer's call, by the call's name
            return Read(reference(several[0].value, index), read.pointer)
        return Read(several[index].value, read.pointer)

    @staticmethod
    def _declared(model: Resolved, step: Step, values: Mapping[str, Any]) -> tuple[Any, ...]:
        declared = {entry.name: (entry.shape, entry.shape_pointer) for entry in model.draft.inputs}
        return tuple(declared.get(call_of(read.value), (None, "")) for read in step.inputs)

    def _bind(self, model: Resolved, step: Step, inputs: Sequence[Read],
              keywords: Mapping[str, tuple[Read, ...]]) -> dict[str, tuple[Read, ...]] | None:
        """What each input of a nested model is given: by position, or by name."""
        names = [entry.name for entry in model.draft.inputs]
        keys = list(model.draft.keys or names)
        given = dict(zip(keys, inputs, strict=False)) if len(inputs) <= len(keys) else None
        if given is not None:
            for key, several in keywords.items():
                if key not in keys or key in given or len(several) != 1:
                    self.faults.add(step.call.inputs_pointer, f"each of the model's inputs {', '.join(keys)} once",
                                    f"{show(key)}{nearest(key, keys)}")
                    return None
                given[key] = several[0]
        if given is None or len(given) != len(keys):
            received = len(inputs) + len(keywords)
            self.faults.add(step.call.inputs_pointer, f"{len(keys)} input{'s' if len(keys) != 1 else ''} for the model "
                            f"({', '.join(keys)})", f"{received}")
            return None
        if step.call.arguments:
            name = next(iter(step.call.arguments))
            self.faults.add(pointer_to(step.call.arguments_pointer, name), "no arguments for a model", show(name))
        return {name: (given[key],) for name, key in zip(names, keys, strict=True)}

    def _layer(self, layer: Layer, step: Step, inputs: Sequence[Read], keywords: Mapping[str, tuple[Read, ...]],
               flat: Flat) -> None:
        """Append a call: what is given to the layer's positions by name is put there."""
        positional, call, left = list(inputs), step.call, dict(keywords)
        for position, name in enumerate(layer.positions):
            if name in left and len(positional) >= position and (position or not positional):
                positional += left.pop(name)
        named: dict[str, Read] = {}
        for name, several in left.items():
            known = [*layer.positions, *layer.keywords, "mask"]
            if name not in (*layer.keywords, "mask") or len(several) != 1:
                self.faults.add(call.inputs_pointer, f"inputs among {', '.join(known)}, in this order",
                                f"{show(name)}{nearest(name, known)}")
            else:
                named[name] = several[0]
        arguments = {}
        for name, value in call.arguments.items():
            at = pointer_to(call.arguments_pointer, name)
            if name not in layer.arguments:
                known = list(layer.arguments)
                wanted = f"one of {', '.join(known)}" if known else f"no arguments for {type(layer).__name__}"
                self.faults.add(at, wanted, f"{show(name)}{nearest(name, known)}")
            else:
                arguments[name] = self.faults.read(layer.arguments[name], value, at)
        self.found.append(replace(flat, inputs=tuple(positional), keywords=named, arguments=arguments))
