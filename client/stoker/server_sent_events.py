"""Reading an event stream (WHATWG HTML, "Server-sent events") from bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """One dispatched event. `id` is the stream's last id so far, to reconnect with."""

    event: str
    data: str
    id: str
    retry_seconds: float | None


def lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Lines ended by LF, CR or CR LF, wherever the pieces are cut. What follows the last end is not a line yet."""
    pending = b""
    for piece in pieces:
        pending += piece
        # A CR at the very end may be the first half of a CR LF.
        held = b"\r" if pending.endswith(b"\r") else b""
        whole = pending[: len(pending) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *complete, rest = whole.split(b"\n")
        pending = rest + held
        for line in complete:
            yield line.decode("utf-8", "replace")


def messages(pieces: Iterable[bytes], last_id: str = "") -> Iterator[Message]:
    """The events of a stream; comments are skipped, an event cut off by the stream's end is dropped."""
    event, retry, first = "", None, True
    data: list[str] = []
    for line in lines(pieces):
        if first:
            line, first = line.removeprefix("\ufeff"), False
        if not line:
            if data:
                yield Message(event or "message", "\n".join(data), last_id, retry)
            event, data = "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            event = value
        elif name == "data":
            data.append(value)
        elif name == "id" and "\0" not in value:
            last_id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            retry = int(value) / 1000
