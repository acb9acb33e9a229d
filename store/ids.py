"""Ids: a prefix that says what the object is, and a UUIDv7 (RFC 9562) as 32 hex digits, so they sort by creation."""

from __future__ import annotations

import os
import re
import threading
import time

PREFIXES = {
    "project": "prj",
    "key": "key",
    "dataset": "ds",
    "model": "mdl",
    "job": "job",
    "checkpoint": "ckpt",
    "blob": "blob",
    "event": "evt",
}

_HEX = re.compile(r"[0-9a-f]{32}")
_lock = threading.Lock()
_last_milliseconds = 0
_counter = 0


def new_id(kind: str) -> str:
    """A new id of `kind` (a key of PREFIXES), greater than every id this process made before."""
    return f"{PREFIXES[kind]}_{_uuid7():032x}"


def is_id(kind: str, text: str) -> bool:
    """Whether `text` has the form of an id of `kind`; says nothing about whether it exists."""
    prefix = PREFIXES[kind] + "_"
    return text.startswith(prefix) and _HEX.fullmatch(text, len(prefix)) is not None


def _uuid7() -> int:
    """RFC 9562, 6.2 method 1: 48 bits of milliseconds, a 12-bit counter that starts low, 62 random bits."""
    global _last_milliseconds, _counter
    with _lock:
        milliseconds = max(time.time_ns() // 1_000_000, _last_milliseconds)
        _counter = _counter + 1 if milliseconds == _last_milliseconds else int.from_bytes(os.urandom(1), "big")
        if _counter > 0xFFF:
            milliseconds, _counter = milliseconds + 1, 0
        _last_milliseconds = milliseconds
        counter = _counter
    random = int.from_bytes(os.urandom(8), "big") & (2**62 - 1)
    return milliseconds << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | random
