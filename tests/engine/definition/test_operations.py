"""Operations of keras.ops in Keras's JSON, and what is wrong about them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.definition import parse_model
from engine.errors import DefinitionError
from engine.graph.build import forward_graph
from engine.graph.interpret import interpret

X = {"class_name": "__keras_tensor__", "config": {"shape": [None, 2, 3], "keras_history": ["x", 0, 0]}}


def document(name: str, *args: Any, module: str = "numpy", options: dict[str, Any] | None = None) -> dict[str, Any]:
    """A model of one operation on an input of shape (2, 3)."""
    layers = [
        {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 2, 3]}, "inbound_nodes": []},
        {"module": f"keras.src.ops.{module}", "class_name": name, "config": {"name": "y", **(options or {})},
         "registered_name": name, "name": "y", "inbound_nodes": [{"args": list(args), "kwargs": {}}]}]
    return {"class_name": "Functional", "config": {"name": "m", "layers": layers, "input_layers": [["x", 0, 0]],
                                                   "output_layers": [["y", 0, 0]]}}


def answer(written: dict[str, Any]) -> np.ndarray:
    model = parse_model(written)
    assert parse_model(model.to_json()) == model
    return interpret(forward_graph(model)[0], {"x": VALUES}, {})["y"]


VALUES = np.array([[[1, -2, 3], [4, 5, -6]]], np.float32)
ALL = {"class_name": "__slice__", "config": {"start": None, "stop": None, "step": None}}
LAST_TWO = {"class_name": "__slice__", "config": {"start": -2, "stop": None, "step": None}}
ROW = {"class_name": "__numpy__", "config": {"value": [1.0, 2.0, 4.0], "dtype": "float32"}}


@pytest.mark.parametrize(("written", "expected"), [
    (document("Add", X, 3.0), VALUES + 3), (document("Subtract", 3, X), 3 - VALUES),
    (document("TrueDivide", X, ROW), VALUES / [1, 2, 4]), (document("Divide", ROW, X), [1, 2, 4] / VALUES),
    (document("Multiply", X, X), VALUES**2), (document("Maximum", X, 0.5), np.maximum(VALUES, 0.5)),
    (document("Power", X, 3), VALUES**3), (document("Negative", X), -VALUES),
    (document("Mean", X, options={"axis": [1], "keepdims": True}), VALUES.mean(1, keepdims=True)),
    (document("Min", X, options={"axis": -1, "keepdims": False, "initial": None}), VALUES.min(-1)),
    (document("ExpandDims", X, options={"axis": 1}), VALUES[:, None]),
    (document("Transpose", X, options={"axes": [0, 2, 1]}), VALUES.transpose(0, 2, 1)),
    (document("Reshape", X, options={"newshape": [-1, 6]}), VALUES.reshape(1, 6)),
    (document("GetItem", X, [ALL, -1]), VALUES[:, -1]),
    (document("GetItem", X, [ALL, ALL, LAST_TWO]), VALUES[:, :, -2:]),
    (document("LeakyRelu", X, module="nn", options={"negative_slope": 0.5}), np.maximum(VALUES, VALUES / 2)),
], ids=lambda value: value["config"]["layers"][1]["class_name"] if isinstance(value, dict) else "")
def test_it_does_what_numpy_does(written: dict[str, Any], expected: Any) -> None:
    np.testing.assert_allclose(answer(written), expected, rtol=1e-6)


@pytest.mark.parametrize(("written", "place", "expected"), [
    (document("Sort", X), "/config/layers/1/class_name", "ops.Sort"),
    (document("Add", X), "/config/layers/1/inbound_nodes/0/args", "two operands"),
    (document("Add", X, X, X), "/config/layers/1/inbound_nodes/0/args", "1 to 2 inputs"),
    (document("Add", X, "three"), "/config/layers/1/config/x2", "three"),
    (document("Add", X, [1.0, 2.0]), "/config/layers/1/inbound_nodes/0/args", "(2)"),
    (document("Add", X, [[[[1.0]]]] * 7), "/config/layers/1/inbound_nodes/0/args", "behind the batch"),
    (document("Power", X, 40), "/config/layers/1/config/x2", "1 to 16"),
    (document("Power", X, X), "/config/layers/1/config/x2", ""),
    (document("Mean", X, options={"axis": None}), "/config/layers/1/config/axis", "None"),
    (document("Mean", X, options={"axis": 0}), "/config/layers/1/config/axis", "other than the batch"),
    (document("Max", X, options={"axis": 1, "initial": 0.0}), "/config/layers/1/config/initial", "not supported"),
    (document("Transpose", X, options={"axes": [1, 0, 2]}), "/config/layers/1/class_name", "ops.Transpose"),
    (document("GetItem", X, 0), "/config/layers/1/config/key", "whole batch"),
    (document("GetItem", X, [ALL, 2]), "/config/layers/1/config/key", "a place of 2"),
    (document("GetItem", X, [ALL, None]), "/config/layers/1/config/key/1", "integer"),
    (document("GetItem", X, [{"class_name": "__slice__", "config": {"step": 2}}]), "/config/layers/1/config/key/0",
     "without a step"),
    (document("Squeeze", X, options={"axis": 1}), "/config/layers/1/config/axis", "size 1"),
    (document("ExpandDims", X, options={"axis": 0}), "/config/layers/1/config/axis", "behind the batch"),
    (document("Matmul", X, X), "/config/layers/1/inbound_nodes/0/args", "rows"),
])
def test_faults_say_where(written: dict[str, Any], place: str, expected: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        parse_model(written)
    found = {fault.pointer: fault.detail for fault in caught.value.faults}
    assert f"/model{place}" in found and expected in found[f"/model{place}"], found


def test_a_second_call_with_another_constant_is_refused() -> None:
    written = document("Add", X, 3.0)
    written["config"]["layers"][1]["inbound_nodes"].append({"args": [X, 4.0], "kwargs": {}})
    with pytest.raises(DefinitionError) as caught:
        parse_model(written)
    assert any(fault.pointer.endswith("/inbound_nodes/1") and "constants" in fault.detail
               for fault in caught.value.faults)
