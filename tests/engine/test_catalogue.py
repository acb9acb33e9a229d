from __future__ import annotations

import json
import subprocess
import sys

import pytest

from engine import registry
from engine.catalogue import GROUPS, catalogue

ENTRIES = [(group, name) for group, kind in GROUPS.items() for name in registry.entries(kind)]


def test_every_registered_entry_is_listed():
    listed = catalogue()
    assert set(listed) == set(GROUPS)
    assert [(group, name) for group in listed for name in listed[group]] == ENTRIES
    assert set(GROUPS.values()) == set(registry.PACKAGES) - {"op"}


@pytest.mark.parametrize("group", GROUPS)
def test_no_group_is_empty(group):
    assert catalogue()[group]


@pytest.mark.parametrize(("group", "name"), ENTRIES)
def test_every_entry_says_what_it_is_and_how_its_options_are_read(group, name):
    described = catalogue()[group][name]
    assert described["description"].rstrip().endswith((".", "`", ")")) and len(described["description"]) >= 10
    assert all({"type", "anyOf", "enum"} & set(option) for option in described["options"].values())


def test_it_is_json_and_looks_like_this():
    listed = json.loads(json.dumps(catalogue(), allow_nan=False))
    assert listed["schedules"]["ExponentialDecay"]["options"]["staircase"] == {"type": "boolean", "default": False}
    assert "default" not in listed["schedules"]["ExponentialDecay"]["options"]["decay_rate"]
    assert listed["callbacks"]["EarlyStopping"]["options"]["patience"]["default"] == 0
    assert listed["initializers"]["Zeros"] == {"description": "Every value is 0.", "options": {}}


def test_it_needs_no_compiler():
    blocked = "import sys; sys.modules['llvmlite'] = None"
    code = f"{blocked}; from engine.catalogue import catalogue; catalogue()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
