"""Answers about a model that was never run."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from engine import inspect
from engine.definition import parse_model
from engine.errors import DefinitionError
from tests.engine.definition.documents import MODEL, keras

CNN = parse_model(MODEL)


def test_the_summary_of_the_contracts_cnn():
    found = inspect.summary(CNN)
    assert found["inputs"] == {"image": {"shape": [None, 32, 32, 3], "dtype": "float32"}}
    assert found["outputs"] == {"dense_1": {"layer": "dense_1", "shape": [None, 10], "dtype": "float32"}}
    assert found["parameters"] == {"total": 167562, "trainable": 167562, "non_trainable": 0}
    first = found["layers"][0]
    assert first == {"name": "conv2d", "type": "Conv2D", "inputs": ["image"], "output_shape": [None, 30, 30, 32],
                     "trainable": True, "parameters": 896, "flops": 30 * 30 * 32 * (2 * 27 + 2)}
    assert found["flops"]["forward"] == sum(layer["flops"] for layer in found["layers"])
    assert 2.5 < found["flops"]["training_step"] / found["flops"]["forward"] < 3.5
    assert found["warnings"] == []


def test_statistics_are_parameters_that_are_not_trained():
    read = parse_model({"inputs": {"x": {"shape": [4]}}, "layers": [
        {"type": "BatchNormalization"}, {"type": "Dense", "units": 2, "trainable": False}]})
    assert inspect.summary(read)["parameters"] == {"total": 26, "trainable": 8, "non_trainable": 18}


def test_planned_memory_grows_with_the_batch_and_holds_at_least_what_must_live():
    small, large, larger = (inspect.summary(CNN, batch)["memory_bytes"] for batch in (32, 128, 224))
    weights = 4 * 167562
    for name, copies in (("inference", 1), ("training", 3)):
        assert small[name] > copies * weights + 32 * 4 * 32 * 32 * 3
        assert large[name] - small[name] > 96 * 4 * 32 * 32 * 3
        # Part is scratch of fixed size, as that of transformed tiles: it counts less the larger the batch is.
        assert larger[name] - large[name] > 0.99 * (large[name] - small[name])
        assert 1.3 < (larger[name] - copies * weights) / (large[name] - copies * weights) <= 1.76
    # Backpropagation needs the first layer's output until the end.
    assert small["training"] > 3 * weights + 32 * 4 * 30 * 30 * 32


@pytest.mark.parametrize("stage", ["forward", "training", "plan"])
@pytest.mark.parametrize("document", [MODEL, keras("sequential"), keras("functional")],
                         ids=["cnn", "sequential", "functional"])
def test_every_edge_joins_two_nodes(document, stage):
    found = inspect.graph(parse_model(document), stage, batch_size=4)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    ids = [node["id"] for node in found["nodes"]]
    assert len(set(ids)) == len(ids)
    for edge in found["edges"]:
        assert {edge["from"], edge["to"]} <= set(ids)
    for node in found["nodes"]:
        assert {"id", "op", "layer", "shape", "dtype", "flops", "attrs"} <= set(node)


def test_the_forward_graph_names_each_nodes_layer():
    nodes = inspect.graph(CNN)["nodes"]
    assert [(node["op"], node["layer"]) for node in nodes if node["id"].startswith("%")][:4] == [
        ("conv2d", "conv2d"), ("add", "conv2d"), ("relu", "conv2d"), ("max_pool2d", "max_pooling2d")]
    assert nodes[0] == {"id": "image", "op": "input", "layer": None, "shape": [None, 32, 32, 3], "dtype": "float32",
                        "flops": 0, "attrs": {}}


def test_the_training_graph_ends_with_loss_and_gradients():
    outputs = [node["layer"] for node in inspect.graph(CNN, "training")["nodes"] if node["op"] == "output"]
    assert outputs[0] == "loss" and "gradient conv2d/kernel" in outputs


def test_the_plan_tells_each_buffer():
    found = inspect.graph(CNN, "plan", batch_size=8)
    buffers = [buffer for node in found["nodes"] for buffer in node.get("buffers", ())]
    assert buffers and max(buffer["offset"] + buffer["bytes"] for buffer in buffers) == found["arena_bytes"]


def test_thousands_of_layers_are_estimated_not_planned():
    layers = [{"type": "Dense", "units": 4, "activation": "relu"}] * 1200
    read = parse_model({"inputs": {"x": {"shape": [4]}}, "layers": layers})
    (warning,) = inspect.summary(read)["warnings"]
    assert "estimated" in warning
    with pytest.raises(DefinitionError, match="at most"):
        inspect.graph(read, "plan")


def test_the_estimate_is_near_the_plan(monkeypatch):
    planned = inspect.summary(CNN)["memory_bytes"]
    monkeypatch.setattr(inspect, "PLANNED_NODES", 0)
    estimated = inspect.summary(CNN)["memory_bytes"]
    for name in planned:
        assert 0.7 < estimated[name] / planned[name] < 2.5


def test_validation_does_not_need_llvmlite():
    code = ("import sys; sys.modules['llvmlite'] = None; "
            "from engine import catalogue, definition, inspect; "
            f"model = definition.parse_model({MODEL!r}); inspect.summary(model); "
            "[inspect.graph(model, stage) for stage in ('forward', 'training', 'plan')]; catalogue.catalogue()")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
