"""Options: a registered entry is a frozen dataclass whose fields say how they are read from JSON.

    @register("layer")
    @dataclass(frozen=True, kw_only=True)
    class Dense(Layer):
        units: int = option(integer(minimum=1))
        use_bias: bool = option(boolean, default=True)

A reader takes a JSON value and its pointer, and returns the value the entry works with, or raises `Mismatch`. Every
fault of a document is collected, so that a user sees them all at once.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine import registry
from engine.absent import why_absent
from engine.errors import DefinitionError, Fault, nearest, pointer_to, show

MAXIMUM_INTEGER = 2**31 - 1
MAXIMUM_FAULTS = 100
"""Shown of one document: a hostile one could have millions."""


class Mismatch(Exception):
    """A value is not what its reader expects; `faults` may point below the value itself."""

    def __init__(self, pointer: str, expected: str, received: object) -> None:
        self.faults = [Fault(pointer, f"expected {expected}, received {show(received)}")]
        super().__init__(self.faults[0].detail)


@dataclass(frozen=True)
class Reader:
    """`read(value, pointer)` converts or raises; `schema` describes the value for the catalogue."""

    read: Callable[[Any, str], Any]
    schema: Mapping[str, Any]

    def __call__(self, value: Any, pointer: str) -> Any:
        return self.read(value, pointer)


def option(reader: Reader, *, default: Any = dataclasses.MISSING, doc: str = "") -> Any:
    """A dataclass field read from JSON. Without a default it must be given."""
    metadata = {"reader": reader, "doc": doc}
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)


# Readers of plain values ----------------------------------------------------------------------------------------------


def integer(minimum: int | None = None, maximum: int = MAXIMUM_INTEGER) -> Reader:
    """A JSON integer; `true` is not one, `3.0` is."""
    expected = "an integer" + (f" of at least {minimum}" if minimum is not None else "") + f" and at most {maximum}"

    def read(value: Any, pointer: str) -> int:
        if isinstance(value, float) and value.is_integer() and abs(value) <= MAXIMUM_INTEGER:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Mismatch(pointer, expected, value)
        if (minimum is not None and value < minimum) or value > maximum:
            raise Mismatch(pointer, expected, value)
        return value

    return Reader(read, {"type": "integer", "minimum": minimum, "maximum": maximum})


def number(minimum: float | None = None, maximum: float | None = None, *, above: float | None = None,
           below: float | None = None) -> Reader:
    """A finite JSON number within the given bounds; `above` and `below` exclude their ends."""
    bounds = [f"at least {minimum:g}" if minimum is not None else "", f"above {above:g}" if above is not None else "",
              f"at most {maximum:g}" if maximum is not None else "", f"below {below:g}" if below is not None else ""]
    expected = " ".join(["a finite number", *[" and ".join(bound for bound in bounds if bound)]]).strip()

    def read(value: Any, pointer: str) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Mismatch(pointer, expected, value)
        try:
            found = float(value)
        except OverflowError:
            raise Mismatch(pointer, expected, _Written("an integer too large for a float")) from None
        wrong = (not math.isfinite(found) or (minimum is not None and found < minimum)
                 or (maximum is not None and found > maximum) or (above is not None and found <= above)
                 or (below is not None and found >= below))
        if wrong:
            raise Mismatch(pointer, expected, found)
        return found

    return Reader(read, {"type": "number", "minimum": minimum if minimum is not None else above,
                         "maximum": maximum if maximum is not None else below})


def _boolean(value: Any, pointer: str) -> bool:
    if not isinstance(value, bool):
        raise Mismatch(pointer, "true or false", value)
    return value


boolean = Reader(_boolean, {"type": "boolean"})


def text(maximum: int = 200) -> Reader:
    """A string without control characters, 1 to `maximum` characters long."""
    expected = f"a string of 1 to {maximum} printable characters"

    def read(value: Any, pointer: str) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= maximum or not value.isprintable():
            raise Mismatch(pointer, expected, value)
        return value

    return Reader(read, {"type": "string", "maxLength": maximum})


def choice(*allowed: str) -> Reader:
    """One of the given strings."""

    def read(value: Any, pointer: str) -> str:
        if not isinstance(value, str) or value not in allowed:
            hint = nearest(value, allowed) if isinstance(value, str) else ""
            raise Mismatch(pointer, f"one of {', '.join(allowed)}", value if not hint else _Written(show(value) + hint))
        return value

    return Reader(read, {"type": "string", "enum": list(allowed)})


class _Written:
    """What was received, in words that a message takes as they are."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def only(value: Any, reason: str) -> Reader:
    """An option of Keras of which one value is supported: any other is refused with the reason, never ignored."""
    expected = f"{json.dumps(value)} ({reason})"

    def read(given: Any, pointer: str) -> Any:
        if type(given) is not type(value) or given != value:
            raise Mismatch(pointer, expected, given)
        return value

    return Reader(read, {"enum": [value]})


# Readers made of readers ----------------------------------------------------------------------------------------------


def optional(reader: Reader) -> Reader:
    """The value, or null."""
    return Reader(lambda value, pointer: None if value is None else reader(value, pointer),
                  {**reader.schema, "nullable": True})


def either(*readers: Reader) -> Reader:
    """The first reader that accepts the value; the last one's complaint if none does."""

    def read(value: Any, pointer: str) -> Any:
        for reader in readers[:-1]:
            try:
                return reader(value, pointer)
            except Mismatch:
                continue
        return readers[-1](value, pointer)

    return Reader(read, {"anyOf": [dict(reader.schema) for reader in readers]})


def sequence(item: Reader, minimum: int = 0, maximum: int = 10_000) -> Reader:
    """A list of `item`, as a tuple."""

    def read(value: Any, pointer: str) -> tuple[Any, ...]:
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes)) or not minimum <= len(value) <= maximum:
            raise Mismatch(pointer, f"a list of {minimum} to {maximum} entries", _Written(_length(value)))
        return collect(item, value, pointer)

    return Reader(read, {"type": "array", "items": dict(item.schema), "minItems": minimum, "maxItems": maximum})


def _length(value: Any) -> str:
    if not isinstance(value, list):
        return show(value)
    return f"a list of {len(value)}" if value else "an empty list"


def spatial(rank: int, minimum: int = 1) -> Reader:
    """One integer for every spatial dimension, or a list of `rank`; always read as a tuple."""
    item = integer(minimum=minimum, maximum=65_536)

    def read(value: Any, pointer: str) -> tuple[int, ...]:
        if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            if len(value) != rank:
                raise Mismatch(pointer, f"an integer or a list of {rank}", value)
            return collect(item, value, pointer)
        return (item(value, pointer),) * rank

    return Reader(read, {"anyOf": [dict(item.schema), {"type": "array", "items": dict(item.schema)}]})


def axes() -> Reader:
    """One dimension or a list of them, counted from 0 or from the end; always read as a tuple."""
    item = integer(minimum=-8, maximum=7)
    several = sequence(item, 1, 8)

    def read(value: Any, pointer: str) -> tuple[int, ...]:
        found: tuple[int, ...] = (
            several(value, pointer) if isinstance(value, (list, tuple)) else (item(value, pointer),))
        return found

    return Reader(read, {"anyOf": [dict(item.schema), dict(several.schema)]})


def collect(item: Reader, values: Sequence[Any], pointer: str) -> tuple[Any, ...]:
    """Read every value of a list and report the faults of all of them together."""
    read: list[Any] = []
    faults: list[Fault] = []
    for index, value in enumerate(values):
        if len(faults) >= MAXIMUM_FAULTS:
            break
        try:
            read.append(item(value, pointer_to(pointer, index)))
        except Mismatch as mismatch:
            faults += mismatch.faults
    if faults:
        raise several(faults)
    return tuple(read)


def several(faults: list[Fault]) -> Mismatch:
    """One Mismatch that carries many faults, the first `MAXIMUM_FAULTS` of them."""
    mismatch = Mismatch("", "", None)
    mismatch.faults = faults[:MAXIMUM_FAULTS]
    return mismatch


def article(noun: str) -> str:
    """`a` or `an`."""
    return "an" if noun[0] in "aeiou" else "a"


# Entries --------------------------------------------------------------------------------------------------------------


def entry(kind: str) -> Reader:
    """A registered entry: its name alone, or `{"type": name, …options}`; also Keras's `{"class_name", "config"}`."""

    def read(value: Any, pointer: str) -> Any:
        if isinstance(value, str):
            return read_entry(kind, {"type": value}, pointer, named_at=pointer)
        if not isinstance(value, Mapping):
            raise Mismatch(pointer, f"{article(kind)} {kind}'s name or {{\"type\": …}}", value)
        if "class_name" in value and isinstance(value.get("config"), Mapping):
            named_at = pointer_to(pointer, "class_name")
            return read_entry(kind, {"type": value["class_name"], **value["config"]}, pointer, named_at)
        return read_entry(kind, value, pointer)

    return Reader(read, {"type": kind})


def inner(kind: str) -> Reader:
    """A registered entry inside of a layer. What Keras writes beside its options, a name and a dtype, is left out."""
    reader = entry(kind)

    def read(value: Any, pointer: str) -> Any:
        config = value.get("config") if isinstance(value, Mapping) and "class_name" in value else value
        if not isinstance(config, Mapping):
            return reader(value, pointer)
        at = pointer if config is value else pointer_to(pointer, "config")
        dtype = config.get("dtype")
        if isinstance(dtype, Mapping):
            dtype = dtype.get("config", {}).get("name") if isinstance(dtype.get("config"), Mapping) else dtype
        if dtype not in (None, "float32"):
            raise Mismatch(pointer_to(at, "dtype"), "float32 (the engine computes in it throughout)", dtype)
        if config.get("trainable", True) is not True:
            raise Mismatch(pointer_to(at, "trainable"), "true (freeze the layer around it)", config["trainable"])
        plain = {key: item for key, item in config.items() if key not in ("name", "dtype", "trainable")}
        return reader(plain if config is value else {**value, "config": plain}, pointer)

    return Reader(read, reader.schema)


def read_entry(kind: str, document: Mapping[str, Any], pointer: str, named_at: str | None = None) -> Any:
    """An instance of the registered class that `document["type"]` names, its options read and checked.

    `named_at` is where the name stands, if not at `type`.
    """
    name, named_at = document.get("type"), named_at or pointer_to(pointer, "type")
    if not isinstance(name, str):
        raise Mismatch(named_at, f"the name of {article(kind)} {kind}", name)
    cls = registry.lookup(kind, name)
    if cls is None:
        known = list(registry.entries(kind))
        hint = why_absent(kind, name) or nearest(name, known)
        fault = Fault(named_at, f"expected one of {', '.join(known)}, received {show(name)}{hint}")
        raise several([fault])
    return read_fields(cls, {key: value for key, value in document.items() if key != "type"}, pointer)


def read_fields(cls: type, document: Any, pointer: str) -> Any:
    """Read a JSON object into dataclass `cls`: unknown fields are refused, missing ones named, all faults together.

    A class may define `check(self, pointer)`, which raises Mismatch, for what concerns several options at once.
    """
    if not isinstance(document, Mapping):
        raise Mismatch(pointer, "an object", document)
    fields = {item.name: item for item in dataclasses.fields(cls) if "reader" in item.metadata}
    faults: list[Fault] = []
    values: dict[str, Any] = {}
    for key, value in document.items():
        if len(faults) >= MAXIMUM_FAULTS:
            break
        if key not in fields:
            faults.append(Fault(pointer_to(pointer, key), f"expected one of {', '.join(sorted(fields))}, "
                                f"received the unknown field {show(key)}{_meant(str(key), fields)}"))
            continue
        try:
            values[key] = fields[key].metadata["reader"](value, pointer_to(pointer, key))
        except Mismatch as mismatch:
            faults += mismatch.faults
    for name, item in fields.items():
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        if required and name not in document:
            faults.append(Fault(pointer_to(pointer, name), "expected a value, received nothing: the field is required"))
    if faults:
        raise several(faults)
    instance = cls(**values)
    if hasattr(instance, "check"):
        instance.check(pointer)
    return instance


FORMER = {"lr": "learning_rate", "decay": "weight_decay", "output_dim": "units", "nb_filter": "filters",
          "nb_epoch": "epochs", "init": "kernel_initializer", "border_mode": "padding", "subsample": "strides"}
"""Names that options had in older Kerases."""


def _meant(name: str, known: Mapping[str, Any]) -> str:
    """The field that an unknown one was probably meant to be."""
    former = FORMER.get(name)
    return f"; did you mean {former!r}?" if former in known else nearest(name, known)


def write(value: Any) -> Any:
    """The JSON of an entry, defaults filled in: what `read` would read back to an equal value."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        written = {item.name: write(getattr(value, item.name)) for item in dataclasses.fields(value)
                   if "reader" in item.metadata}
        name = getattr(type(value), "type_name", None)
        return {"type": name, **written} if name else written
    if isinstance(value, Mapping):
        return {key: write(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [write(item) for item in value]
    return value


def describe(cls: type) -> dict[str, Any]:
    """Options of a registered class for the catalogue: schema, default (absent if required), documentation."""
    described: dict[str, Any] = {}
    for item in dataclasses.fields(cls):
        if "reader" not in item.metadata:
            continue
        shown = {key: value for key, value in item.metadata["reader"].schema.items() if value is not None}
        if item.default is not dataclasses.MISSING:
            shown["default"] = write(item.default)
        elif item.default_factory is not dataclasses.MISSING:
            shown["default"] = write(item.default_factory())
        described[item.name] = {**shown, **({"description": item.metadata["doc"]} if item.metadata["doc"] else {})}
    return described


def parse(reader: Reader, document: Any, pointer: str) -> Any:
    """`reader(document, pointer)` for callers outside the engine: raises DefinitionError with every fault."""
    try:
        return reader(document, pointer)
    except Mismatch as mismatch:
        raise DefinitionError(mismatch.faults) from None
