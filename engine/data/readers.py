"""Readers of options that only the data block and the formats need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import Fault, pointer_to
from engine.options import Mismatch, Reader, read_fields, several


def fields(cls: type) -> Reader:
    """A JSON object read into a dataclass of options."""
    return Reader(lambda value, pointer: read_fields(cls, value, pointer), {"type": "object"})


def mapping(key: Reader, item: Reader, minimum: int = 0, maximum: int = 10_000) -> Reader:
    """A JSON object whose names are read by `key` and whose values are read by `item`."""

    def read(value: Any, pointer: str) -> dict[str, Any]:
        if not isinstance(value, Mapping) or not minimum <= len(value) <= maximum:
            raise Mismatch(pointer, f"an object of {minimum} to {maximum} fields", value)
        read: dict[str, Any] = {}
        faults: list[Fault] = []
        for name, content in value.items():
            try:
                read[key(name, pointer_to(pointer, name))] = item(content, pointer_to(pointer, name))
            except Mismatch as mismatch:
                faults += mismatch.faults
        if faults:
            raise several(faults)
        return read

    return Reader(read, {"type": "object", "additionalProperties": dict(item.schema)})
