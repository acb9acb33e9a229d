"""Bad definitions: each fault at its place, as `expected …, received …`, and nothing else ever comes out."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.definition import parse_model
from engine.errors import DefinitionError
from tests.engine.definition.documents import MODEL, changed, keras


def faults(document):
    with pytest.raises(DefinitionError) as caught:
        parse_model(document)
    assert caught.value.faults
    for fault in caught.value.faults:
        assert fault.pointer == "" or fault.pointer.startswith("/model")
        assert fault.detail.startswith("expected ") and ", received " in fault.detail
        assert len(fault.detail) < 4000 and fault.detail.isprintable()
    return {fault.pointer: fault.detail for fault in caught.value.faults}


def nested(depth):
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


DENSE = {"type": "Dense", "units": 4}
TWO = {"inputs": {"x": {"shape": [4]}}, "layers": [dict(DENSE), dict(DENSE)]}


BAD = [
    ("/layers/0/units", 10**9, "/layers/0/units", "268435456 parameters"),
    ("/layers/0/units", 0, "/layers/0/units", "at least 1"),
    ("/layers/0/units", -1, "/layers/0/units", "at least 1"),
    ("/layers/0/units", True, "/layers/0/units", "True"),
    ("/layers/0/units", 2.5, "/layers/0/units", "2.5"),
    ("/layers/0/units", float("nan"), "/layers/0/units", "nan"),
    ("/layers/0/units", float("inf"), "/layers/0/units", "inf"),
    ("/layers/0/units", 10**5000, "/layers/0/units", "too large to show"),
    ("/layers/0/units", "4", "/layers/0/units", "'4'"),
    ("/layers/0/units", ..., "/layers/0/units", "required"),
    ("/layers/0/units", nested(10_000), "/layers/0/units", "too large to show"),
    ("/layers/0/type", "Lambda", "/layers/0/type", "'Lambda'"),
    ("/layers/0/type", "keras.layers.Dense", "/layers/0/type", "keras.layers.Dense"),
    ("/layers/0/type", "__import__('os')", "/layers/0/type", "__import__"),
    ("/layers/0/type", "dens", "/layers/0/type", "did you mean 'Dense'"),
    ("/layers/0/type", ["Dense"], "/layers/0/type", "one of"),
    ("/layers/0/type", ..., "/layers/0/type", "None"),
    ("/layers/0/unit", 3, "/layers/0/unit", "did you mean 'units'"),
    ("/layers/0/name", "a\nb", "/layers/0/name", "printable"),
    ("/layers/0/name", "a\x00", "/layers/0/name", "printable"),
    ("/layers/0/name", "a\u202eb", "/layers/0/name", "printable"),
    ("/layers/0/name", "\ud800", "/layers/0/name", "printable"),
    ("/layers/0/name", "", "/layers/0/name", "1 to 200"),
    ("/layers/0/name", "n" * 201, "/layers/0/name", "1 to 200"),
    ("/layers/0/name", "../../x", "/layers/0/name", "without ':'"),
    ("/layers/0/name", "a//b", "/layers/0/name", "a path like"),
    ("/layers/0/name", "lstm:1", "/layers/0/name", "without ':'"),
    ("/layers/0/name", "x", "/layers/0/name", "an input"),
    ("/layers/0/dtype", "float16", "/layers/0/dtype", "float32"),
    ("/layers/0/trainable", 1, "/layers/0/trainable", "true or false"),
    ("/layers/0/inputs", ["y"], "/layers/0/inputs/0", "'y'"),
    ("/layers/0/inputs", [], "/layers/0/inputs", "1 to 10000"),
    ("/layers/0/inputs", ["dense"], "/layers/0/inputs", "dense <- dense"),
    ("/layers/0/inputs", ["dense_1"], "/layers/0/inputs", "dense <- dense_1 <- dense"),
    ("/layers/0/inputs", {"inputs": 1}, "/layers/0/inputs/inputs", "a list"),
    ("/layers/0/inputs", {"query": "x"}, "/layers/0/inputs", "'query'"),
    ("/layers/0/inputs", {"mask": "x"}, "/layers/0/inputs", "1 input"),
    ("/layers/0/inputs", "x:1", "/layers/0/inputs", "1 outputs of 'x'"),
    ("/layers/1/inputs", "dense:1", "/layers/1/inputs", "1 outputs of dense"),
    ("/layers/1/inputs", "dense:one", "/layers/1/inputs", "lstm:1"),
    ("/layers/1/arguments", [], "/layers/1/arguments", "an object"),
    ("/layers/1/arguments", {"causal": True}, "/layers/1/arguments/causal", "no arguments for Dense"),
    ("/layers/1", {"use": "dense_2"}, "/layers/1/use", "the name of a layer"),
    ("/layers/1", {"use": 3}, "/layers/1/use", "string"),
    ("/layers/1", {"use": "dense", "units": 3}, "/layers/1/units", "unknown field"),
    ("/layers/1", {"model": 3}, "/layers/1/model", "a model's definition"),
    ("/layers/1", {"model": {"layers": [DENSE]}}, "/layers/1/model/inputs", "a model inside a model"),
    ("/layers/1", {"model": {"inputs": {"i": {"shape": [5]}}, "layers": [DENSE]}}, "/layers/1/model/inputs/i/shape",
     "[4]"),
    ("/layers/1", {"model": {"inputs": {"i": {}, "j": {}}, "layers": [{"type": "Add", "inputs": ["i", "j"]}]}},
     "/layers/1/inputs", "2 inputs for the model"),
    ("/layers", [{**DENSE, "name": "a"}, {**DENSE, "name": "a/b"}], "/layers/1/name", "does not begin with a/"),
    ("/layers/0", "Dense", "/layers/0", "an object like"),
    ("/layers", [], "/layers", "1 to 10000"),
    ("/layers", {}, "/layers", "a list"),
    ("/layers", ..., "/layers", "None"),
    ("/layers", [DENSE] * 100_000, "/layers", "list of 100000"),
    ("/inputs", {}, "/inputs", "1 to 100"),
    ("/inputs", {f"x{i}": {"shape": [1]} for i in range(101)}, "/inputs", "101 inputs"),
    ("/inputs", [], "/inputs", "an object"),
    ("/inputs/x", [4], "/inputs/x", "an object like"),
    ("/inputs/x/shape", ..., "/inputs/x/shape", "only a job's data"),
    ("/inputs/x/shape", [-1], "/inputs/x/shape/0", "at least 1"),
    ("/inputs/x/shape", [None], "/inputs/x/shape/0", "None"),
    ("/inputs/x/shape", [4] * 8, "/inputs/x/shape", "0 to 7"),
    ("/inputs/x/shape", [2**31 - 1], "/inputs/x/shape", "67108864 elements"),
    ("/inputs/x/shape", [65536, 65536, 3], "/inputs/x/shape", "67108864 elements"),
    ("/inputs/x/shape", 4, "/inputs/x/shape", "a list"),
    ("/inputs/x/dtype", "uint8", "/inputs/x/dtype", "float32"),
    ("/inputs/x/size", 3, "/inputs/x/size", "shape, dtype"),
    ("/inputs/y", {"shape": [2]}, "/layers/0/inputs", "2 inputs"),
    ("/inputs/a~1b", {"shape": [2]}, "/layers/0/inputs", "2 inputs"),
    ("/outputs", ["nothing"], "/outputs/0", "'nothing'"),
    ("/outputs", ["dense", "dense"], "/outputs/1", "twice"),
    ("/outputs", [], "/outputs", "1 to 100"),
    ("/outputs", "dense", "/outputs", "a list"),
    ("/outputs", {"a/b": "dense_1"}, "/outputs/a~1b", "without '/'"),
    ("/outputs", {"a": 3}, "/outputs/a", "string"),
    ("/outputs", ["dense"], "/layers/1", "leads to an output"),
    ("/name", 3, "/name", "string"),
    ("/layer", [], "/layer", "did you mean 'layers'"),
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_each_fault_is_found_at_its_place(number):
    path, value, pointer, words = BAD[number]
    found = faults(changed(TWO, path, value))
    assert words in found[f"/model{pointer}"]


@pytest.mark.parametrize("document", [None, [], "mdl_1", 3, True, {}, {"class_name": 1},
                                      {"class_name": [], "config": {}}])
def test_what_is_no_definition_at_all(document):
    faults(document)


def test_all_faults_come_together():
    document = changed(changed(TWO, "/layers/0/units", 0), "/layers/1/type", "Dens")
    document = changed(changed(document, "/inputs/x/shape", [0]), "/name", "")
    assert set(faults(document)) == {"/model/layers/0/units", "/model/layers/1/type", "/model/inputs/x/shape/0",
                                     "/model/name"}


def test_duplicate_names():
    layers = [{**DENSE, "name": "a"}, {**DENSE, "name": "a"}]
    assert "another layer" in faults({**TWO, "layers": layers})["/model/layers/1/name"]


def test_a_long_cycle_is_named_at_one_of_its_layers():
    layers = [{**DENSE, "name": f"l{i}", "inputs": [f"l{(i + 1) % 5000}"]} for i in range(5000)]
    found = faults({**TWO, "layers": layers})
    assert "without a cycle" in found["/model/layers/0/inputs"]


def test_a_second_end_needs_to_be_an_output():
    layers = [DENSE, {**DENSE, "name": "aside", "inputs": ["dense"]}, {**DENSE, "inputs": ["dense"]}]
    assert "`outputs`" in faults({**TWO, "layers": layers})["/model/layers/1"]


def test_growth_is_bounded_at_each_layer():
    layers = [{"type": "ZeroPadding2D", "padding": 4000}, {"type": "Conv2D", "filters": 2000, "kernel_size": 1}]
    found = faults({"inputs": {"x": {"shape": [8, 8, 1]}}, "layers": layers})
    assert list(found) == ["/model/layers/1/filters"] and "67108864 elements" in found["/model/layers/1/filters"]


def test_parameters_are_counted_over_the_whole_model():
    layers = [{"type": "Dense", "units": 12_000}] * 4
    assert "268435456 parameters" in faults({**TWO, "layers": layers})["/model/layers/2/units"]


@pytest.mark.parametrize("document", [
    {**TWO, "layers": [{"type": "x" * 1000}] * 10_000},
    {**TWO, "layers": [{**DENSE, "inputs": [f"y{i}"], "name": f"l{i}"} for i in range(10_000)]},
    {**TWO, "layers": [{**DENSE, **{f"option{i}": 0 for i in range(20_000)}}]},
    {**TWO, **{f"field{i}": 0 for i in range(20_000)}},
    {**TWO, "inputs": {"x": {"shape": [[0]] * 7}}, "layers": [{**DENSE, "activation": nested(50_000)}] * 1000},
], ids=["types", "references", "options", "fields", "nesting"])
def test_many_faults_take_little_time_and_few_are_shown(document):
    start = time.monotonic()
    assert 1 <= len(faults(document)) <= 100
    assert time.monotonic() - start < 10


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 40) | st.floats() | st.text(max_size=6)
    | st.sampled_from(["Dense", "Conv2D", "relu", "x", "dense", 10**30, 1e308, "same"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["type", "units", "shape", "inputs", "layers", "outputs", "name", "config", "class_name", "x",
                         "activation", "kernel_size", "filters", "inbound_nodes", "trainable"]), inner, max_size=4),
    max_leaves=12)


def places(document, path=""):
    """Every pointer in a document."""
    lists = enumerate(document) if isinstance(document, list) else ()
    items = document.items() if isinstance(document, dict) else lists
    return [path, *(at for key, value in items for at in places(value, f"{path}/{key}"))]


DOCUMENTS = [MODEL, keras("sequential"), keras("functional")]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=300)
@given(st.data())
def test_whatever_stands_wherever_only_definition_errors_come_out(data):
    document = data.draw(st.sampled_from(DOCUMENTS), label="document")
    for _ in range(data.draw(st.integers(1, 3), label="changes")):
        there = places(document)[1:]
        path = data.draw(st.sampled_from(there or ["/x"]), label="path")
        document = changed(document, path, data.draw(JSON | st.just(...) if there else JSON, label="value"))
    try:
        read = parse_model(document)
    except DefinitionError as error:
        assert 1 <= len(error.faults) <= 100
        return
    assert parse_model(read.to_json()) == read


@settings(deadline=None)
@given(JSON)
def test_any_json_gives_a_model_or_faults(document):
    try:
        parse_model(document)
    except DefinitionError as error:
        assert error.faults
