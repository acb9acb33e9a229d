"""docs/settings.md has a row for every setting, with its default and meaning as the code has them."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from engine.environment import DEFAULT_CACHE_BYTES
from store.settings import Settings

PAGE = Path(__file__).parent.parent.parent / "docs" / "settings.md"
UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def row(entry: dataclasses.Field) -> str:
    variable, description = entry.metadata["variable"], entry.metadata["description"]
    return f"| `{variable}` | {shown(entry)} | {description.replace('|', chr(92) + '|')} |"


def shown(entry: dataclasses.Field) -> str:
    default = entry.default
    if isinstance(default, bool) or not isinstance(default, int | float):
        return f"`{default}`" if str(default) not in ("", ".") else "see there"
    if variable_is_bytes(entry.name):
        for unit, name in UNITS:
            if default and default % unit == 0:
                return f"{default} ({default // unit} {name})"
    return f"{default:g}" if isinstance(default, float) else str(default)


def variable_is_bytes(name: str) -> bool:
    return name.endswith("_bytes")


def test_every_setting_has_its_row_and_every_row_its_setting() -> None:
    expected = [row(entry) for entry in dataclasses.fields(Settings)]
    server, _, _ = PAGE.read_text().partition("## The client's variables")
    written = [line for line in server.splitlines() if line.startswith("| `STOKER_")]
    assert sorted(written) == sorted(expected), "the rows should be:\n" + "\n".join(expected)


def test_the_client_s_variables_are_told() -> None:
    text = PAGE.read_text()
    assert all(f"`{name}`" in text for name in ("STOKER_URL", "STOKER_API_KEY", "STOKER_DATA_DIR"))


def test_the_engine_s_variables_are_those_it_reads() -> None:
    text = PAGE.read_text().partition("## The engine's variables")[2]
    sources = "".join(path.read_text() for path in (PAGE.parent.parent / "engine").rglob("*.py"))
    read = set(re.findall(r"environ\.get\(\"(STOKER_\w+)\"", sources))
    assert set(re.findall(r"^\| `(STOKER_\w+)`", text, re.M)) == read
    assert f"{DEFAULT_CACHE_BYTES} ({DEFAULT_CACHE_BYTES >> 20} MiB)" in text
