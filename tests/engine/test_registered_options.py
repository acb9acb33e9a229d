"""Conformance of every registered entry: what it writes as JSON, it reads back to an equal value."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine import registry
from engine.catalogue import GROUPS
from engine.errors import DefinitionError
from engine.options import describe, entry, parse, write

KINDS = [kind for kind in GROUPS.values() if kind != "weights_format"]
ENTRIES = [(kind, name) for kind in KINDS for name in registry.entries(kind)]


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """JSON values that a schema of the catalogue describes; within it, readers may still be stricter."""
    if schema.get("nullable"):
        return st.none() | values({key: value for key, value in schema.items() if key != "nullable"})
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "examples" in schema:
        return st.sampled_from(schema["examples"])
    if "anyOf" in schema:
        return st.one_of(*(values(choice) for choice in schema["anyOf"]))
    kind = schema["type"]
    low, high = schema.get("minimum"), schema.get("maximum")
    if kind == "boolean":
        return st.booleans()
    if kind == "integer":
        low = -8 if low is None else low
        return st.integers(low, min(low + 16, high if high is not None else low + 16))
    if kind == "number":
        low = -8.0 if low is None else float(low)
        return st.floats(low, min(low + 16.0, high if high is not None else low + 16.0))
    if kind == "string":
        return st.text("abc_", min_size=1, max_size=8)
    if kind == "array":
        least = schema.get("minItems") or 0
        return st.lists(values(schema["items"]), min_size=least, max_size=min(least + 3, schema.get("maxItems") or 100))
    if kind in registry.PACKAGES:
        # An entry within an entry has a test of its own: here, those that need nothing, or all of few, are enough.
        plain = [name for name, cls in registry.entries(kind).items() if not required(cls)]
        return st.sampled_from(plain) if plain else st.sampled_from(list(registry.entries(kind))).flatmap(
            lambda name: documents(kind, name))
    return st.nothing()


def required(cls: type) -> list[str]:
    return [name for name, option in describe(cls).items() if "default" not in option]


@st.composite
def documents(draw: st.DrawFn, kind: str, name: str) -> dict[str, Any]:
    options = {key: {part: value for part, value in schema.items() if value is not None}
               for key, schema in describe(registry.entries(kind)[name]).items()}
    needed = [key for key, schema in options.items() if "default" not in schema]
    given_ = set(draw(st.lists(st.sampled_from(sorted(options)), max_size=3, unique=True))) if options else set()
    return {"type": name, **{key: draw(values(options[key])) for key in options if key in needed or key in given_}}


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_an_entry_is_a_frozen_dataclass_with_documented_options(kind, name):
    cls = registry.entries(kind)[name]
    assert dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert registry.lookup(kind, registry.snake_case(name)) in (cls, registry.lookup(kind, name))


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(data=st.data())
def test_written_json_reads_back_to_an_equal_entry(kind, name, data):
    document = data.draw(documents(kind, name))
    try:
        instance = parse(entry(kind), document, "")
    except DefinitionError as error:
        assert error.faults and all(fault.detail for fault in error.faults)
        assume(False)
    written = write(instance)
    text = json.dumps(written, allow_nan=False)
    assert parse(entry(kind), json.loads(text), "") == instance
    assert json.dumps(write(parse(entry(kind), json.loads(text), "")), allow_nan=False) == text
    assert set(written) == {"type", *describe(type(instance))}


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_an_unknown_option_is_refused_with_its_pointer(kind, name):
    with pytest.raises(DefinitionError) as caught:
        parse(entry(kind), {"type": name, "no_such_option": 1}, "/here")
    assert "/here/no_such_option" in [fault.pointer for fault in caught.value.faults]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("document", [
    None, 1, True, [], {}, {"type": 1}, {"type": None}, {"type": "NoSuchThing"}, {"type": "os.system"}, "__import__",
    {"class_name": "Lambda", "config": {}},
])
def test_what_is_no_entry_is_refused(kind, document):
    with pytest.raises(DefinitionError) as caught:
        parse(entry(kind), document, "/here")
    assert all(fault.pointer.startswith("/here") and "expected" in fault.detail for fault in caught.value.faults)
