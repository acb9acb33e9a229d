"""The one reader of JSON that users send: limits on bytes, depth and numbers, and a JSON Pointer for every fault.

The C parser of the standard library builds the document; its hooks put a `Refused` where a value cannot be taken. Only
if there is one does a second walk look for the places. Nothing here recurses over what the user sent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from api.errors import Fault, Problem
from engine.errors import pointer_to

MAXIMUM_DEPTH = 64
MAXIMUM_FAULTS = 20
MAXIMUM_NUMBER_CHARACTERS = 100
INTEGER_BITS = 64

_TEXT = "Unicode text, received U+0000 or half of a surrogate pair"

Place = tuple["Place", str | int] | None
"""Where a value stands: its parent's place and its key there. Written out only for a fault."""


@dataclass(frozen=True)
class Refused:
    """Stands in the parsed document where a value was that is not accepted. `key` is one that its object repeats."""

    reason: str
    key: str | None = None


def parse(raw: bytes, *, pointer: str = "", what: str = "JSON") -> Any:
    """The document in `raw`, in UTF-8. `what` names it, if it is not the whole body.

    Raises Problem: 400 if it is not JSON, 422 with pointers if values are refused.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        detail = f"expected {what} in UTF-8, received other bytes at offset {error.start}"
        raise Problem(400, "invalid_json", detail, errors=[Fault(detail, pointer=pointer)]) from None
    hooks = _Hooks()
    try:
        document = json.loads(
            text,
            object_pairs_hook=hooks.read_object,
            parse_int=hooks.read_integer,
            parse_float=hooks.read_float,
            parse_constant=hooks.read_constant,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        detail = f"expected {what}, received a fault of syntax at {where}: {_syntax(error)}"
        raise Problem(400, "invalid_json", detail, errors=[Fault(detail, pointer=pointer)]) from None
    except RecursionError:
        raise _too_deep(pointer) from None
    if _is_too_deep(document):
        raise _too_deep(pointer)
    # Text that came without an escape can hold neither of the two things that are refused in it.
    if hooks.refused or "\\u" in text:
        faults = [fault for fault, _ in zip(_find_faults(document, pointer), range(MAXIMUM_FAULTS), strict=False)]
        if faults:
            more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
            raise Problem(422, "invalid_json", f"{faults[0].detail} at {faults[0].pointer or '/'}{more}", errors=faults)
    return document


def _syntax(error: json.JSONDecodeError) -> str:
    """The parser's complaint; its fixed phrases never quote the input."""
    return error.msg[:1].lower() + error.msg[1:]


def _too_deep(pointer: str) -> Problem:
    detail = f"expected a document nested at most {MAXIMUM_DEPTH} deep, received a deeper one"
    return Problem(422, "invalid_json", detail, errors=[Fault(detail, pointer=pointer)])


class _Hooks:
    """Called by the parser for every object and number; remembers whether it refused one."""

    def __init__(self) -> None:
        self.refused = False

    def read_object(self, pairs: list[tuple[str, Any]]) -> Any:
        document = dict(pairs)
        if len(document) == len(pairs):
            return document
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        return self._refuse("expected every key once, received this one twice", repeated)

    def read_integer(self, text: str) -> int | Refused:
        if len(text) <= 20 and (value := int(text)).bit_length() < INTEGER_BITS:
            return value
        digits = len(text.lstrip("-"))
        return self._refuse(f"expected an integer of {INTEGER_BITS} bits, received one of {digits} digits")

    def read_float(self, text: str) -> float | Refused:
        if len(text) > MAXIMUM_NUMBER_CHARACTERS:
            return self._refuse(
                f"expected a number of at most {MAXIMUM_NUMBER_CHARACTERS} characters, received {len(text)}"
            )
        value = float(text)
        if math.isfinite(value):
            return value
        return self._refuse("expected a finite number, received one beyond a double's range")

    def read_constant(self, name: str) -> Refused:
        return self._refuse(f"expected a finite number, received {name}")

    def _refuse(self, reason: str, key: str | None = None) -> Refused:
        self.refused = True
        return Refused(reason, key)


def _is_too_deep(document: Any) -> bool:
    level = [document]
    for _ in range(MAXIMUM_DEPTH):
        level = [
            item
            for value in level
            if isinstance(value, (dict, list))
            for item in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return False
    return True


def _find_faults(document: Any, pointer: str) -> Iterator[Fault]:
    """Every refused value, in the document's order."""
    waiting: list[tuple[Any, Place]] = [(document, None)]
    while waiting:
        value, place = waiting.pop()
        if isinstance(value, Refused):
            where = place if value.key is None else (place, value.key)
            yield Fault(value.reason, pointer=_write(where, pointer))
        elif isinstance(value, str):
            if not _is_storable(value):
                yield Fault(f"expected {_TEXT}", pointer=_write(place, pointer))
        elif isinstance(value, dict):
            for key in value:
                if not _is_storable(key):
                    yield Fault(f"expected a key of {_TEXT}", pointer=_write((place, key), pointer))
            waiting += [(item, (place, key)) for key, item in reversed(value.items())]
        elif isinstance(value, list):
            waiting += [(value[index], (place, index)) for index in range(len(value) - 1, -1, -1)]


def _write(place: Place, pointer: str) -> str:
    """The JSON Pointer of a place, below that of the document."""
    keys: list[str | int] = []
    while place is not None:
        place, key = place
        keys.append(key if isinstance(key, int) or _is_storable(key) else _escape(key))
    for key in reversed(keys):
        pointer = pointer_to(pointer, key)
    return pointer


def _is_storable(text: str) -> bool:
    """Whether both databases hold this text: PostgreSQL has no U+0000, and half a surrogate pair has no UTF-8."""
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False


def _escape(key: str) -> str:
    return key.replace("\x00", "\\u0000").encode("ascii", "backslashreplace").decode()
