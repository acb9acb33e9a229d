"""The one reader of JSON that users send: limits on bytes, depth and numbers, and a JSON Pointer for every fault.

The C parser of the standard library builds the document; its hooks put a `Refused` where a value cannot be taken, and
one iterative walk then finds those, with their pointers. Nothing here recurses over what the user sent.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from api.errors import Fault, Problem
from engine.errors import pointer_to

MAXIMUM_DEPTH = 64
MAXIMUM_FAULTS = 20
MAXIMUM_NUMBER_CHARACTERS = 100
INTEGER_BITS = 64


@dataclass(frozen=True)
class Refused:
    """Stands in the parsed document where a value was that is not accepted."""

    reason: str


@dataclass(frozen=True)
class Repeated:
    """Stands for an object that names a key twice."""

    key: str


def parse(raw: bytes, *, pointer: str = "") -> Any:
    """The document in `raw`, in UTF-8.

    Raises Problem: 400 if it is not JSON, 422 with pointers if values are refused.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        detail = f"expected JSON in UTF-8, received other bytes at offset {error.start}"
        raise Problem(400, "invalid_json", detail) from None
    try:
        document = json.loads(
            text,
            object_pairs_hook=_read_object,
            parse_int=_read_integer,
            parse_float=_read_float,
            parse_constant=_read_constant,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        detail = f"expected JSON, received a fault of syntax at {where}: {_syntax(error)}"
        raise Problem(400, "invalid_json", detail) from None
    except RecursionError:
        raise _too_deep(pointer) from None
    faults = _find_faults(document, pointer)
    if faults:
        raise Problem(422, "invalid_json", "the document holds values that are not accepted", errors=faults)
    return document


def _syntax(error: json.JSONDecodeError) -> str:
    """The parser's complaint; its fixed phrases never quote the input."""
    return error.msg[:1].lower() + error.msg[1:]


def _too_deep(pointer: str) -> Problem:
    detail = f"expected a document nested at most {MAXIMUM_DEPTH} deep, received a deeper one"
    return Problem(422, "invalid_json", detail, errors=[Fault(detail, pointer=pointer)])


def _read_object(pairs: list[tuple[str, Any]]) -> Any:
    document = dict(pairs)
    if len(document) == len(pairs):
        return document
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return Repeated(key)
        seen.add(key)
    raise AssertionError("a dictionary is shorter than its pairs only if a key repeats")


def _read_integer(text: str) -> int | Refused:
    if len(text) <= 20 and (value := int(text)).bit_length() < INTEGER_BITS:
        return value
    return Refused(f"expected an integer of {INTEGER_BITS} bits, received one of {len(text.lstrip('-'))} digits")


def _read_float(text: str) -> float | Refused:
    if len(text) > MAXIMUM_NUMBER_CHARACTERS:
        return Refused(f"expected a number of at most {MAXIMUM_NUMBER_CHARACTERS} characters, received {len(text)}")
    value = float(text)
    return value if math.isfinite(value) else Refused("expected a finite number, received one beyond a double's range")


def _read_constant(name: str) -> Refused:
    return Refused(f"expected a finite number, received {name}")


def _find_faults(document: Any, pointer: str) -> list[Fault]:
    """Every refused value in the document's order, at most `MAXIMUM_FAULTS`. Raises Problem if it is too deep."""
    faults: list[Fault] = []
    waiting: list[tuple[Any, str, int]] = [(document, pointer, 1)]
    while waiting and len(faults) < MAXIMUM_FAULTS:
        value, at, depth = waiting.pop()
        if depth > MAXIMUM_DEPTH:
            raise _too_deep(at)
        if isinstance(value, Refused):
            faults.append(Fault(value.reason, pointer=at))
        elif isinstance(value, Repeated):
            where = pointer_to(at, _shown(value.key))
            faults.append(Fault("expected every key once, received this one twice", pointer=where))
        elif isinstance(value, str):
            if not _storable(value):
                faults.append(Fault("expected Unicode text, received U+0000 or half of a surrogate pair", pointer=at))
        elif isinstance(value, dict):
            bad = next((key for key in value if not _storable(key)), None)
            if bad is not None:
                faults.append(
                    Fault(
                        "expected a key of Unicode text, received U+0000 or half of a surrogate pair",
                        pointer=pointer_to(at, _shown(bad)),
                    )
                )
            waiting += [(item, pointer_to(at, _shown(key)), depth + 1) for key, item in reversed(value.items())]
        elif isinstance(value, list):
            waiting += [(item, pointer_to(at, index), depth + 1) for index, item in reversed(list(enumerate(value)))]
    return faults


def _storable(text: str) -> bool:
    """Whether both databases hold this text: PostgreSQL has no U+0000, and half a surrogate pair has no UTF-8."""
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False


def _shown(key: str) -> str:
    return key if _storable(key) else key.replace("\x00", "\\u0000").encode("ascii", "backslashreplace").decode()
