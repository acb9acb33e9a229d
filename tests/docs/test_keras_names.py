"""The page of Keras's names is not older than the catalogue."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.catalogue import catalogue

PAGE = (Path(__file__).parent.parent.parent / "docs" / "keras.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\w+) \| (\d+) of (\d+) \| (.*?) \| .*\|$", PAGE, re.M)


def test_every_group_has_its_row() -> None:
    assert {row[0] for row in ROWS} >= {"layers", "losses", "metrics", "optimizers", "schedules", "initializers"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_is_called_missing_is(row: tuple[str, str, str, str]) -> None:
    group, covered, whole, missing = row
    names = re.findall(r"`(\w+)`", missing)
    assert len(names) == int(whole) - int(covered)
    assert not set(names) & set(catalogue()[group]), "make parity writes the page anew"
