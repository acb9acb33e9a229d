"""A draft -> a model: names completed, references followed, options read, every shape inferred."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine import registry
from engine.definition.draft import Draft, DraftLayer, Faults, Reference
from engine.definition.limits import MAXIMUM_ELEMENTS, MAXIMUM_PARAMETERS
from engine.definition.names import complete_names
from engine.definition.order import execution_order
from engine.errors import nearest, pointer_to, show
from engine.graph.ir import GraphBuilder, Value
from engine.layers.base import Layer, Net, OptionMismatch, text
from engine.ops.base import ShapeMismatch
from engine.options import Reader, read_fields
from engine.types import Batch, Type, size


@dataclass(frozen=True)
class LayerNode:
    """A layer in its place: its name, and the names of the inputs and layers that it reads."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    trainable: bool


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
    names, layers, references, outputs = read_parts(draft, faults)
    faults.stop()
    inputs = dict(zip(names, references, strict=True))
    order = execution_order(draft, inputs, faults)
    faults.stop()
    by_name = dict(zip(names, zip(draft.layers, layers, strict=True), strict=True))
    nodes = []
    for name in order:
        written, layer = by_name[name]
        assert layer is not None
        nodes.append(LayerNode(name, layer, inputs[name], written.trainable))
    _refuse_unused(draft, by_name, inputs, outputs, faults)
    faults.stop()
    types = _infer(draft, {name: written for name, (written, _) in by_name.items()}, nodes, shapes, faults)
    faults.stop()
    places = {name: written.options_pointer for name, (written, _) in by_name.items()}
    return Assembled(dict(shapes), tuple(nodes), outputs, types, places)


Parts = tuple[list[str], list[Layer | None], list[tuple[str, ...]], dict[str, str]]


def read_parts(draft: Draft, faults: Faults) -> Parts:
    """Names, layers, what each layer reads, and the outputs: all that can be known without any shape."""
    names = complete_names(draft, faults)
    layers = [_read_layer(layer, faults) for layer in draft.layers]
    return names, layers, _references(draft, names, faults), _outputs(draft, names, faults)


def _read_layer(layer: DraftLayer, faults: Faults) -> Layer | None:
    cls = registry.lookup("layer", layer.type) if isinstance(layer.type, str) else None
    if cls is None:
        known = list(registry.entries("layer"))
        hint = nearest(layer.type, known) if isinstance(layer.type, str) else ""
        faults.add(layer.type_pointer, f"one of {', '.join(known)}", f"{show(layer.type)}{hint}")
        return None
    read: Layer | None = faults.read(Reader(lambda value, at: read_fields(cls, value, at), {}), layer.options,
                                     layer.options_pointer)
    return read


def _references(draft: Draft, names: Sequence[str], faults: Faults) -> list[tuple[str, ...]]:
    """What each layer reads."""
    known = dict.fromkeys([*names, *(entry.name for entry in draft.inputs)])
    found: list[tuple[str, ...]] = []
    for index, layer in enumerate(draft.layers):
        if layer.inputs is not None:
            for reference in layer.inputs:
                _require(reference, known, faults)
            found.append(tuple(reference.name for reference in layer.inputs))
        elif index:
            found.append((names[index - 1],))
        elif len(draft.inputs) == 1:
            found.append((draft.inputs[0].name,))
        else:
            if draft.inputs:  # without any, that is the fault
                faults.add(layer.inputs_pointer, f"the names of some of the {len(draft.inputs)} inputs", "nothing")
            found.append(())
    return found


def _require(reference: Reference, known: Mapping[str, None], faults: Faults) -> None:
    if reference.name not in known:
        faults.add(reference.pointer, "the name of an input or a layer",
                   f"{show(reference.name)}{nearest(reference.name, known)}")


def _outputs(draft: Draft, names: Sequence[str], faults: Faults) -> dict[str, str]:
    """Outputs by name: those written, or the last layer's."""
    if draft.outputs is None:
        return {names[-1]: names[-1]} if names else {}
    known = dict.fromkeys(names)
    for _, reference in draft.outputs:
        if reference.name not in known:
            faults.add(reference.pointer, "the name of a layer",
                       f"{show(reference.name)}{nearest(reference.name, known)}")
    return {name: reference.name for name, reference in draft.outputs}


def _refuse_unused(draft: Draft, layers: Mapping[str, tuple[DraftLayer, Layer | None]],
                   inputs: Mapping[str, tuple[str, ...]], outputs: Mapping[str, str], faults: Faults) -> None:
    """Everything must lead to an output."""
    needed: set[str] = set()
    open_names = list(outputs.values())
    while open_names:
        name = open_names.pop()
        if name not in needed:
            needed.add(name)
            open_names += inputs.get(name, ())
    for entry in draft.inputs:
        if entry.name not in needed:
            faults.add(entry.pointer, "an input that leads to an output", f"{show(entry.name)}, which does not")
    for name, (written, _) in layers.items():
        if name not in needed:
            hint = "" if draft.outputs is not None else "; several outputs are named by the model's `outputs`"
            faults.add(written.pointer, "a layer that leads to an output", f"{show(name)}, which does not{hint}")


def _infer(draft: Draft, written: Mapping[str, DraftLayer], nodes: Sequence[LayerNode],
           shapes: Mapping[str, tuple[int, ...]], faults: Faults) -> dict[str, Type]:
    """The type of every input and layer; what reads a layer at fault is left out."""
    net = Net(GraphBuilder(draft.name), training=False)
    values: dict[str, Value] = {}
    for entry in draft.inputs:
        shape = shapes[entry.name]
        if math.prod(shape) > MAXIMUM_ELEMENTS:
            faults.add(entry.shape_pointer, f"at most {MAXIMUM_ELEMENTS} elements an example", str(math.prod(shape)))
        else:
            values[entry.name] = net.b.input(entry.name, Type((Batch(), *shape)))
    parameters = 0
    for node in nodes:
        if any(name not in values for name in node.inputs):
            continue
        place = written[node.name]
        declared = len(net.variables)
        try:
            value = net.apply(node.name, node.layer, tuple(values[name] for name in node.inputs),
                              trainable=node.trainable)
        except OptionMismatch as mismatch:
            faults.add(pointer_to(place.options_pointer, mismatch.option), mismatch.expected, str(mismatch.received))
            continue
        except ShapeMismatch as mismatch:
            at = place.pointer if place.inputs is None else place.inputs_pointer
            faults.add(at, f"{mismatch.expected} as input of {node.name}", str(mismatch.received))
            continue
        parameters += sum(math.prod(variable.shape) for variable in net.variables[declared:])
        at = _size_pointer(place, node.layer)
        if parameters > MAXIMUM_PARAMETERS:
            faults.add(at, f"at most {MAXIMUM_PARAMETERS} parameters in a model", f"{parameters} up to {node.name}")
            break
        if size(value.shape, 1) > MAXIMUM_ELEMENTS:
            faults.add(at, f"at most {MAXIMUM_ELEMENTS} elements an example",
                       f"an output of shape {text(value.shape)} from {node.name}")
            continue
        values[node.name] = value
    return {name: value.type for name, value in values.items()}


def _size_pointer(place: DraftLayer, layer: Layer) -> str:
    """The option that decides how large the layer is, if it has one."""
    option = layer.size_option
    return pointer_to(place.options_pointer, option) if option else place.pointer

