"""Lines for people: tables, numbers, times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.text import Text


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints columns as wide as their content, so that a pipe gets whole ids and a terminal readable lines."""
    lines = [tuple(head), *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(Text(line[column]).cell_len for line in lines) for column in range(len(head))]
    for line in lines:
        cells = (cell + " " * (width - Text(cell).cell_len) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def printable(text: str) -> str:
    """`text` without what would steer a terminal: names come from anybody in the project."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def number(value: object) -> str:
    """A metric or a count, short."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else printable(str(value))
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def duration(seconds: float) -> str:
    """`42 s`, `3 min 05 s`, `2 h 07 min`."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def ago(moment: datetime | None) -> str:
    """How long since `moment`."""
    if moment is None:
        return "–"
    return f"{duration((datetime.now(UTC) - moment).total_seconds())} ago"
