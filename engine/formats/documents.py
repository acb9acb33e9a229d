"""JSON inside weights files: read strictly, written in one way."""

from __future__ import annotations

import json
import math
from typing import Any

from engine.errors import WeightsError

MAX_BYTES = 16 << 20
"""A header or a metadata document. The files themselves have no limit here: they are memory-mapped."""


def parse(text: str | bytes, what: str) -> Any:
    """The document; WeightsError for duplicate keys, NaN, infinity, too deep or too long ones."""
    if len(text) > MAX_BYTES:
        raise WeightsError(f"{what}: expected at most {MAX_BYTES} bytes, received {len(text)}")
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_constant, parse_float=_finite)
    except RecursionError:
        raise WeightsError(f"{what}: expected JSON of a sensible depth") from None
    except ValueError as error:
        # Undecodable bytes and numbers of thousands of digits come here, too; their messages would echo the input.
        detail = str(error) if isinstance(error, (_Refused, json.JSONDecodeError)) else "unreadable text"
        raise WeightsError(f"{what}: expected JSON, received {detail[:200]}") from None


def compact(value: Any) -> str:
    """No spaces, keys as they come: a model's inputs and outputs have an order.

    A value that is not finite becomes null, as JSON has no word for it.
    """
    return json.dumps(_plain(value), separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def canonical(value: Any) -> str:
    """As `compact`, with sorted keys: for fingerprints."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


class _Refused(ValueError):
    """JSON that Python would read, but that others would not, or not alike."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise _Refused("a key that occurs twice")
    return document


def _constant(name: str) -> float:
    raise _Refused(name)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _Refused("a number beyond the range of float64")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
