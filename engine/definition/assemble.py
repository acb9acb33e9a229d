"""A draft -> a model: all its models in one, every shape inferred."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.definition.draft import Draft, DraftLayer, Faults
from engine.definition.flatten import Flat, flatten
from engine.definition.limits import MAXIMUM_ELEMENTS, MAXIMUM_PARAMETERS
from engine.definition.resolve import resolve
from engine.errors import pointer_to
from engine.graph.ir import GraphBuilder, Value
from engine.graph.references import call_of, reference
from engine.layers.base import ArgumentMismatch, Layer, Net, OptionMismatch, text
from engine.ops.base import ShapeMismatch
from engine.types import Batch, Type, size


@dataclass(frozen=True)
class LayerNode:
    """A call of a layer in its place: its name, and the names of the values that it reads.

    `dense` is what the input or call of that name gives, `lstm:1` its second output. `shares` names the layer whose
    weights a further call uses. Layers of a nested model have its name before theirs: encoder/dense.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    trainable: bool
    keywords: Mapping[str, str] = field(default_factory=dict)
    """Values given to parameters of the layer's call by name."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What else the call is given: plain data."""
    shares: str | None = None

    @property
    def owner(self) -> str:
        """The name of the layer that has the weights."""
        return self.shares or self.name


@dataclass(frozen=True)
class Assembled:
    """The parts of a model. `layers` stand in an execution order; `places` has the pointer of each layer's options."""

    inputs: Mapping[str, tuple[int, ...]]
    layers: tuple[LayerNode, ...]
    outputs: Mapping[str, str]
    types: Mapping[str, Type]
    places: Mapping[str, str]


def assemble(draft: Draft, shapes: Mapping[str, tuple[int, ...]], faults: Faults) -> Assembled:
    """Check a draft whose input shapes are `shapes`. Raises Mismatch with every fault of the first stage that has any.

    Reading options and following names is one stage, together with the faults that reading the draft has noted.
    """
    resolved = resolve(draft, faults)
    faults.stop()
    flat, outputs = flatten(resolved, faults)
    faults.stop()
    nodes = [LayerNode(call.name, call.layer, tuple(read.value for read in call.inputs), call.trainable,
                       {name: read.value for name, read in call.keywords.items()}, call.arguments,
                       call.owner if call.owner != call.name else None) for call in flat]
    types = _Inference(draft, shapes, faults).run(flat, nodes)
    for read in outputs.values():
        if read.value not in types and not faults.found:
            _refuse_output(read.value, read.pointer, types, faults)
    faults.stop()
    places = {call.name: call.written.options_pointer for call in flat}
    return Assembled(dict(shapes), tuple(nodes), {name: read.value for name, read in outputs.items()}, types, places)


def _refuse_output(wanted: str, pointer: str, types: Mapping[str, Any], faults: Faults) -> None:
    """Note that a call has fewer outputs than that."""
    count = sum(call_of(name) == call_of(wanted) for name in types)
    faults.add(pointer, f"one of the {count} outputs of {call_of(wanted)}, counted from 0",
               wanted.partition(":")[2] or "0")


class _Inference:
    """The type of every value, call by call; what reads a layer at fault is left out."""

    def __init__(self, draft: Draft, shapes: Mapping[str, tuple[int, ...]], faults: Faults) -> None:
        self.faults = faults
        self.net = Net(GraphBuilder(draft.name), training=False)
        self.values: dict[str, Value] = {}
        self.parameters = 0
        for entry in draft.inputs:
            shape = shapes[entry.name]
            if math.prod(shape) > MAXIMUM_ELEMENTS:
                faults.add(entry.shape_pointer, f"at most {MAXIMUM_ELEMENTS} elements an example",
                           str(math.prod(shape)))
            else:
                self.values[entry.name] = self.net.b.input(entry.name, Type((Batch(), *shape)))

    def run(self, flat: Sequence[Flat], nodes: Sequence[LayerNode]) -> dict[str, Type]:
        """Types of inputs and calls by the names of their values."""
        for call, node in zip(flat, nodes, strict=True):
            if self._complete(call) and not self._add(call, node):
                break
        return {name: value.type for name, value in self.values.items()}

    def _complete(self, call: Flat) -> bool:
        """Is all there that the call reads? An output that the other call does not have is a fault."""
        missing = [read for read in (*call.inputs, *call.keywords.values()) if read.value not in self.values]
        for read in missing:
            if call_of(read.value) in self.values:
                _refuse_output(read.value, read.pointer, self.values, self.faults)
        for (declared, at), read in zip(call.declared, call.inputs, strict=False):
            if not missing and declared is not None and self.values[read.value].shape[1:] != declared:
                self.faults.add(at, f"{list(self.values[read.value].shape[1:])}, the shape of what the model is given",
                                str(list(declared)))
                return False
        return not missing

    def _add(self, call: Flat, node: LayerNode) -> bool:
        """Build one call; False when the model has become too large."""
        place, declared = call.written, len(self.net.variables)
        try:
            outputs = self.net.call(node.name, node.layer, tuple(self.values[name] for name in node.inputs),
                                    keywords={name: self.values[value] for name, value in node.keywords.items()},
                                    arguments=node.arguments, trainable=node.trainable, owner=node.owner)
        except OptionMismatch as mismatch:
            at = place.options_pointer
            for option in mismatch.option.split("/"):
                at = pointer_to(at, option)
            self.faults.add(at, mismatch.expected, str(mismatch.received))
            return True
        except ArgumentMismatch as mismatch:
            self.faults.add(call.call.inputs_pointer, mismatch.expected, str(mismatch.received))
            return True
        except ShapeMismatch as mismatch:
            at = call.call.pointer if call.call.inputs is None else call.call.inputs_pointer
            self.faults.add(at, f"{mismatch.expected} as input of {node.name}", str(mismatch.received))
            return True
        self.parameters += sum(math.prod(variable.shape) for variable in self.net.variables[declared:])
        at = _size_pointer(place, node.layer)
        if self.parameters > MAXIMUM_PARAMETERS:
            self.faults.add(at, f"at most {MAXIMUM_PARAMETERS} parameters in a model",
                            f"{self.parameters} up to {node.name}")
            return False
        for index, value in enumerate(outputs):
            if size(value.shape, 1) > MAXIMUM_ELEMENTS:
                self.faults.add(at, f"at most {MAXIMUM_ELEMENTS} elements an example",
                                f"an output of shape {text(value.shape)} from {node.name}")
                return True
            self.values[reference(node.name, index)] = value
        return True


def _size_pointer(place: DraftLayer, layer: Layer) -> str:
    """The option that decides how large the layer is, if it has one."""
    option = layer.size_option
    return pointer_to(place.options_pointer, option) if option else place.pointer
