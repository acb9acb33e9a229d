"""The guide's definitions and blocks are ones that the engine takes, and its commands exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from engine import definition
from engine.catalogue import catalogue
from stoker.commands.main import parser as client_parser
from stokerd.main import parser as server_parser
from tests.docs.write_names import WORDS

GUIDE = Path(__file__).parent.parent.parent / "docs" / "guide.md"
TEXT = GUIDE.read_text(encoding="utf-8")
DOCUMENTS = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", TEXT, re.M | re.S)]
DENSE = {"inputs": {"table": {}}, "layers": [{"type": "Dense", "units": 1}]}
COLUMNS = {
    "features": [
        {"name": "age", "type": "numeric", "shape": [], "dtype": "float32"},
        {"name": "income", "type": "numeric", "shape": [], "dtype": "float32"},
        {"name": "city", "type": "category", "shape": [], "dtype": "int32", "categories": ["Bern", "Rom"]},
        {"name": "bought", "type": "category", "shape": [], "dtype": "int32", "categories": ["no", "yes"]},
    ],
    "target": None, "classes": None, "splits": {"train": [0, 100]}, "examples": 100, "format": "csv", "warnings": [],
    "profile": {"age": {"count": 100, "missing": 3}, "income": {"count": 100, "missing": 0},
                "city": {"count": 100, "missing": 0}, "bought": {"count": 100, "missing": 0}},
}  # fmt: skip


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if "layers" in each])
def test_definitions_are_taken(document: dict) -> None:
    assert definition.parse_model(document).to_json()


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if "optimizer" in each])
def test_training_blocks_are_taken(document: dict) -> None:
    [data] = [each for each in DOCUMENTS if "features" in each]
    training = document | {"loss": {"type": "BinaryCrossentropy", "from_logits": True}}
    definition.parse_job({"model": DENSE, "data": data, "training": training}, COLUMNS)


def test_what_there_is_is_what_the_catalogue_has() -> None:
    rows = re.findall(r"^\| ([a-z ]+) \| (`.+`) \|$", TEXT.partition("## What there is")[2], re.M)
    told = {what: re.findall(r"`([^`]+)`", names) for what, names in rows}
    assert told == {WORDS.get(group, group): list(entries) for group, entries in catalogue().items()}, (
        "python -m tests.docs.write_names writes the table anew")


@pytest.mark.parametrize("words", [
    "TerminateOnNaN", "restore_best_weights", "data.preprocessing", "data.augmentation", "texts are refused",
])  # fmt: skip
def test_what_new_users_asked_is_answered(words: str) -> None:
    assert words in TEXT.partition("## What there is")[0]


def commands() -> list[list[str]]:
    """The stoker and stokerd commands of the guide's indented lines."""
    found = []
    for line in re.findall(r"^    (.+)$", TEXT, re.M):
        for command in line.partition("#")[0].split(";"):
            words = command.split()
            if words and words[0] in ("stoker", "stokerd"):
                found.append(words)
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_exist(words: list[str]) -> None:
    (server_parser() if words[0] == "stokerd" else client_parser()).parse_args(words[1:])
