"""A model as it was written, in whichever form: names, references and options with the place where each stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.definition.limits import MAXIMUM_RANK
from engine.errors import Fault, pointer_to, show
from engine.options import MAXIMUM_FAULTS, Mismatch, Reader, integer, sequence, several, text

shape = sequence(integer(minimum=1), maximum=MAXIMUM_RANK)
_text = text()


def _name(value: Any, pointer: str) -> str:
    read: str = _text(value, pointer)
    if "/" in read or ":" in read:
        raise Mismatch(pointer, "a name without '/' and ':'", value)
    return read


def _path(value: Any, pointer: str) -> str:
    read: str = _text(value, pointer)
    if ":" in read or any(part in ("", ".", "..") for part in read.split("/")):
        raise Mismatch(pointer, "a name without ':', or a path like encoder/dense", value)
    return read


name = Reader(_name, _text.schema)
"""Reads the name of an input or output."""
path = Reader(_path, _text.schema)
"""Reads the name of a layer: it becomes part of weights' names (layer/variable). Layers of a nested model have its name
before theirs: encoder/dense."""


@dataclass(frozen=True)
class Reference:
    """An input, or an output of a layer's call, and where it was named. `call` counts a layer's calls from 0."""

    name: str
    pointer: str
    call: int = 0
    output: int = 0


@dataclass(frozen=True)
class DraftInput:
    """An input; its shape, without the batch, may be left to the data."""

    name: str
    shape: tuple[int, ...] | None
    pointer: str
    shape_pointer: str


@dataclass(frozen=True)
class DraftLayer:
    """A layer with its options, or with `model` a whole model in the place of a layer."""

    type: Any
    type_pointer: str
    options: Mapping[str, Any]
    options_pointer: str
    name: str | None
    name_pointer: str
    pointer: str
    trainable: bool = True
    model: Draft | None = None


@dataclass(frozen=True)
class DraftCall:
    """One use of the layer at position `layer`; without `inputs` it reads the call before it.

    `keywords` are inputs given by name: those of a nested model, or parameters of the layer's call. `arguments` are
    what else the call is given: plain data.
    """

    layer: int
    inputs: tuple[Reference, ...] | None
    inputs_pointer: str
    pointer: str
    keywords: Mapping[str, tuple[Reference, ...]] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    arguments_pointer: str = ""
    name: str | None = None
    name_pointer: str = ""


@dataclass(frozen=True)
class Draft:
    """No inputs: those of the job's data. Outputs by name; None: the last call's, under its name.

    `keys` are the names under which a call gives the inputs, where they are not the inputs' own; `compiled` is what
    the model says of its training.
    """

    name: str
    inputs: tuple[DraftInput, ...]
    layers: tuple[DraftLayer, ...]
    calls: tuple[DraftCall, ...]
    outputs: tuple[tuple[str, Reference], ...] | None
    pointer: str
    layers_pointer: str
    inputs_pointer: str
    outputs_pointer: str
    keys: tuple[str, ...] | None = None
    compiled: Mapping[str, Any] | None = None


COMPILED = ("optimizer", "loss", "loss_weights", "metrics")
"""What a model's `compile_config` may say in the place of a job's `training`."""


def read_compiled(document: Mapping[str, Any], pointer: str, faults: Faults) -> Mapping[str, Any] | None:
    """A model's `compile_config`, as far as a training has a use for it; it is read where a job needs it."""
    given, at = document.get("compile_config"), pointer_to(pointer, "compile_config")
    if given is None:
        return None
    if not isinstance(given, Mapping):
        faults.add(at, "an object of what the model was compiled with", show(given))
        return None
    if given.get("weighted_metrics"):
        faults.add(pointer_to(at, "weighted_metrics"), "null (metrics are not weighted)",
                   show(given["weighted_metrics"]))
    return {key: given[key] for key in COMPILED if given.get(key) is not None} or None


class Faults:
    """Faults found so far; `read` notes what a reader refuses and goes on."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    def add(self, pointer: str, expected: str, received: str) -> None:
        """Note one fault. Raises Mismatch when there are enough of them."""
        self.extend([Fault(pointer, f"expected {expected}, received {received}")])

    def extend(self, faults: Iterable[Fault]) -> None:
        """Note several faults. Raises Mismatch when there are enough of them."""
        self.found += faults
        if len(self.found) >= MAXIMUM_FAULTS:
            self.stop()

    def missing(self, pointer: str, expected: str) -> None:
        """Note that something was left out, unless something at this place is at fault already."""
        if not any(fault.pointer.startswith(pointer) for fault in self.found):
            self.add(pointer, expected, "nothing")

    def read(self, reader: Reader, value: Any, pointer: str, default: Any = None) -> Any:
        """What the reader makes of the value, or `default` and a fault."""
        try:
            return reader(value, pointer)
        except Mismatch as mismatch:
            self.extend(mismatch.faults)
            return default

    def stop(self) -> None:
        """Raise Mismatch if there is any fault."""
        if self.found:
            raise several(self.found)
