"""One model of a draft, and those inside of it: names completed, options read, references followed, calls in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine import registry
from engine.definition.draft import Draft, DraftCall, DraftLayer, Faults, Reference
from engine.definition.names import complete_names
from engine.definition.order import execution_order
from engine.definition.unknown import refuse_unknown_layer
from engine.errors import nearest, show
from engine.graph.references import call_of, reference
from engine.layers.base import Layer
from engine.options import Reader, read_fields


@dataclass(frozen=True)
class Read:
    """A value of the same model by its name (see `references`), and where it was asked for."""

    value: str
    pointer: str


@dataclass(frozen=True)
class Step:
    """A call by its name; `layer` is the position of its layer."""

    name: str
    layer: int
    inputs: tuple[Read, ...]
    keywords: Mapping[str, tuple[Read, ...]]
    call: DraftCall

    @property
    def reads(self) -> list[Read]:
        """Everything that the call reads."""
        return [*self.inputs, *(read for several in self.keywords.values() for read in several)]


@dataclass(frozen=True)
class Resolved:
    """A model of the draft. `steps` stand in an execution order; a layer may be a model itself, or None if at fault."""

    draft: Draft
    names: tuple[str, ...]
    layers: tuple[Layer | Resolved | None, ...]
    steps: tuple[Step, ...]
    outputs: Mapping[str, Read]


def resolve(draft: Draft, faults: Faults) -> Resolved:
    """Read and connect a draft's parts, nested ones included; what is at fault is noted and left out."""
    names, calls = complete_names(draft, faults)
    layers = tuple(resolve(layer.model, faults) if layer.model else _read_layer(layer, faults)
                   for layer in draft.layers)
    table = _Table(draft, names, calls, layers, faults)
    steps = [Step(name, call.layer, table.inputs(position), _keywords(table, call), call)
             for position, (name, call) in enumerate(zip(calls, draft.calls, strict=True))]
    outputs = table.outputs()
    before = len(faults.found)
    position = {name: index for index, name in enumerate(calls)}
    reads = [tuple(position[name] for name in map(call_of, _values(step.reads)) if name in position) for step in steps]
    order = execution_order(draft, reads, calls, faults)
    if len(faults.found) == before and len(order) == len(steps):
        _refuse_unused(draft, steps, names, outputs, faults)
    return Resolved(draft, tuple(names), layers, tuple(steps[index] for index in order), outputs)


def _values(reads: Iterable[Read]) -> list[str]:
    return [read.value for read in reads]


def _keywords(table: _Table, call: DraftCall) -> dict[str, tuple[Read, ...]]:
    return {name: tuple(filter(None, map(table.read, several))) for name, several in call.keywords.items()}


def _read_layer(layer: DraftLayer, faults: Faults) -> Layer | None:
    cls = registry.lookup("layer", layer.type) if isinstance(layer.type, str) else None
    if cls is None:
        refuse_unknown_layer(layer, faults)
        return None
    read: Layer | None = faults.read(Reader(lambda value, at: read_fields(cls, value, at), {}), layer.options,
                                     layer.options_pointer)
    return read


class _Table:
    """What can be read by which name."""

    def __init__(self, draft: Draft, names: list[str], calls: list[str], layers: tuple[Layer | Resolved | None, ...],
                 faults: Faults) -> None:
        self.draft, self.names, self.calls, self.faults = draft, names, calls, faults
        self.known: dict[tuple[str, int], str] = {(entry.name, 0): entry.name for entry in draft.inputs}
        self.counts: dict[str, int] = dict.fromkeys((entry.name for entry in draft.inputs), 1)
        numbers: dict[int, int] = {}
        for name, call in zip(calls, draft.calls, strict=True):
            number = numbers.get(call.layer, 0)
            numbers[call.layer] = number + 1
            self.known.setdefault((names[call.layer], number), name)
            self.known.setdefault((name, 0), name)
            layer = layers[call.layer]
            if isinstance(layer, Resolved):
                self.counts[name] = len(layer.outputs)

    def read(self, wanted: Reference, expected: str = "the name of an input or a layer") -> Read | None:
        """The value that a reference names, or None and a fault."""
        name = self.known.get((wanted.name, wanted.call))
        if name is None:
            names = list(dict.fromkeys(name for name, _ in self.known))
            if wanted.name in names:
                calls = sum(name == wanted.name for name, _ in self.known)
                self.faults.add(wanted.pointer, f"one of the {calls} calls of {show(wanted.name)}, counted from 0",
                                str(wanted.call))
            else:
                self.faults.add(wanted.pointer, expected, f"{show(wanted.name)}{nearest(wanted.name, names)}")
            return None
        if wanted.output >= self.counts.get(name, wanted.output + 1):
            self.faults.add(wanted.pointer, f"one of the {self.counts[name]} outputs of {show(name)}, counted from 0",
                            str(wanted.output))
            return None
        return Read(reference(name, wanted.output), wanted.pointer)

    def inputs(self, position: int) -> tuple[Read, ...]:
        """What a call reads by position: what is written, or else the call before it, or else the only input."""
        call = self.draft.calls[position]
        if call.inputs is not None:
            return tuple(filter(None, map(self.read, call.inputs)))
        if position:
            return (Read(self.calls[position - 1], call.inputs_pointer),)
        if len(self.draft.inputs) == 1:
            return (Read(self.draft.inputs[0].name, call.inputs_pointer),)
        if self.draft.inputs:  # without any, that is the fault
            self.faults.add(call.inputs_pointer, f"the names of some of the {len(self.draft.inputs)} inputs", "nothing")
        return ()

    def outputs(self) -> dict[str, Read]:
        """Outputs by name: those written, or the last call's."""
        if self.draft.outputs is None:
            return {self.calls[-1]: Read(self.calls[-1], self.draft.outputs_pointer)} if self.calls else {}
        found: dict[str, Read] = {}
        for name, wanted in self.draft.outputs:
            if (read := self.read(wanted, "the name of a layer")) is not None:
                found[name] = read
        return found


def _refuse_unused(draft: Draft, steps: list[Step], names: list[str], outputs: Mapping[str, Read],
                   faults: Faults) -> None:
    """Everything must lead to an output."""
    by_name = {step.name: step for step in steps}
    needed: set[str] = set()
    left = [call_of(read.value) for read in outputs.values()]
    while left:
        name = left.pop()
        if name not in needed:
            needed.add(name)
            left += [call_of(read.value) for read in by_name[name].reads] if name in by_name else []
    for entry in draft.inputs:
        if entry.name not in needed:
            faults.add(entry.pointer, "an input that leads to an output", f"{show(entry.name)}, which does not")
    hint = "" if draft.outputs is not None else "; several outputs are named by the model's `outputs`"
    for step in steps:
        # A nested model may be called for some of its outputs, and has all its weights nevertheless.
        if step.name not in needed and "/" not in step.name:
            faults.add(step.call.pointer, "a layer that leads to an output", f"{show(step.name)}, which does not{hint}")
    called = {step.layer for step in steps}
    for index, layer in enumerate(draft.layers):
        if index not in called:
            faults.add(layer.pointer, "a layer that leads to an output", f"{show(names[index])}, which nothing calls")
