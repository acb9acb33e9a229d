"""What the engine raises.

EngineError
├── DefinitionError   a definition (model, training, data block) is at fault: one Fault for each place
├── DataError         an uploaded file is at fault: a code, a sentence, and where in the file
├── WeightsError      a weights file is at fault, or does not fit the model
├── NumericsError     training met NaN or infinity, and names the node where it began
├── HungError         a call of a plan does not end, and is named
└── CompileError      a fault of the engine itself: a graph that does not verify, a kernel that does not load
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass


class EngineError(Exception):
    """The root of everything the engine raises on purpose."""


@dataclass(frozen=True)
class Fault:
    """One place in what the user sent: a JSON Pointer (RFC 6901) and `expected …, received …`."""

    pointer: str
    detail: str


class DefinitionError(EngineError):
    """Holds every fault found, in the document's order."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.pointer or '/'}: {fault.detail}" for fault in self.faults))


class DataError(EngineError):
    """`code` is stable and for programs; `where` names the entry, line or byte in the file."""

    def __init__(self, code: str, detail: str, *, where: str | None = None) -> None:
        self.code = code
        self.detail = detail
        self.where = where
        super().__init__(f"{where}: {detail}" if where else detail)


class WeightsError(EngineError):
    """The weights file cannot be read, or its tensors do not fit the model."""


class NumericsError(EngineError):
    """A value stopped being finite. `node` is the first graph node in which it happened."""

    def __init__(self, detail: str, *, node: str | None = None) -> None:
        self.node = node
        super().__init__(detail)


class HungError(EngineError):
    """A compute kernel does not end: the message names its call. Its threads can be used no more."""


class CompileError(EngineError):
    """Not the user's fault: the message shows the neighbourhood in the graph."""


def show(value: object, limit: int = 60) -> str:
    """A received value for an error message: short, printable, and never a whole document."""
    try:
        text = ascii(value)
    except (RecursionError, ValueError):  # nested beyond printing; an integer of more digits than Python prints
        text = f"{type(value).__name__} too large to show"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for a misspelt name, or nothing: a name that is known as it stands is not misspelt.

    Of very many known names only the first are tried.
    """
    candidates = list(itertools.islice(known, 1000))
    lowered = {} if name in candidates else {candidate.lower(): candidate for candidate in candidates}
    close = difflib.get_close_matches(name[:80].lower(), lowered, n=1)
    return f"; did you mean {lowered[close[0]]!r}?" if close else ""


def pointer_to(parent: str, key: str | int) -> str:
    """The JSON Pointer of `key` under `parent`, escaped as RFC 6901 asks."""
    return f"{parent}/{str(key)[:200].replace('~', '~0').replace('/', '~1')}"
