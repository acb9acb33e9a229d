"""The native form: shapes, counts, names, order; everything complete, and again the same when read back."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.definition import parse_model
from engine.graph.build import forward_graph
from engine.graph.text import print_graph
from engine.types import open_shape
from tests.engine.definition.documents import MODEL


def model(layers, shape=(8,), **more):
    return parse_model({"inputs": {"x": {"shape": list(shape)}}, "layers": layers, **more})


def parameters(read):
    _, net = forward_graph(read)
    return {variable.name: math.prod(variable.shape) for variable in net.variables}


def test_the_cnn_of_the_contract_has_keras_shapes_and_parameter_counts():
    read = parse_model(MODEL)
    shapes = {node.name: open_shape(read.types[node.name].shape) for node in read.layers}
    assert shapes == {
        "conv2d": [None, 30, 30, 32], "max_pooling2d": [None, 15, 15, 32], "conv2d_1": [None, 13, 13, 64],
        "max_pooling2d_1": [None, 6, 6, 64], "flatten": [None, 2304], "dense": [None, 64], "dropout": [None, 64],
        "dense_1": [None, 10]}
    counts = parameters(read)
    assert counts == {"conv2d/kernel": 864, "conv2d/bias": 32, "conv2d_1/kernel": 18432, "conv2d_1/bias": 64,
                      "dense/kernel": 147456, "dense/bias": 64, "dense_1/kernel": 640, "dense_1/bias": 10}
    assert sum(counts.values()) == 167562


def test_a_residual_network_has_keras_parameter_count():
    def block(name, source, filters):
        return [{"type": "Conv2D", "filters": filters, "kernel_size": 3, "padding": "same", "use_bias": False,
                 "name": f"{name}_conv", "inputs": [source]},
                {"type": "BatchNormalization", "name": f"{name}_norm"},
                {"type": "Add", "name": f"{name}_add", "inputs": [f"{name}_norm", source]},
                {"type": "ReLU", "name": name}]

    layers = [{"type": "Conv2D", "filters": 16, "kernel_size": 3, "padding": "same", "strides": 2, "name": "stem"},
              *block("one", "stem", 16), *block("two", "one", 16),
              {"type": "GlobalAveragePooling2D"}, {"type": "Dense", "units": 10}]
    read = model(layers, (33, 33, 3))
    assert open_shape(read.types["two"].shape) == [None, 17, 17, 16]
    assert sum(parameters(read).values()) == 448 + 2 * (2304 + 64) + 170


def test_names_are_keras_like_and_never_collide():
    read = model([{"type": "Dense", "units": 8}, {"type": "ReLU"}, {"type": "Dense", "units": 8, "name": "dense_1"},
                  {"type": "Dense", "units": 8}, {"type": "BatchNormalization"}, {"type": "Dense", "units": 8}])
    assert [node.name for node in read.layers] == ["dense", "re_lu", "dense_1", "dense_2", "batch_normalization",
                                                   "dense_3"]


def test_layers_may_stand_in_any_order():
    written = [{"type": "Concatenate", "name": "end", "inputs": ["a", "b"]},
               {"type": "Dense", "units": 2, "name": "b", "inputs": "a"},
               {"type": "Dense", "units": 3, "name": "a", "inputs": ["x"]}]
    read = model(written, outputs=["end"])
    assert [node.name for node in read.layers] == ["a", "b", "end"]
    assert open_shape(read.types["end"].shape) == [None, 5]


def test_several_inputs_and_outputs():
    read = parse_model({
        "inputs": {"picture": {"shape": [8, 8, 1]}, "facts": {"shape": [3]}},
        "layers": [{"type": "Flatten", "inputs": ["picture"], "name": "flat"},
                   {"type": "Concatenate", "inputs": ["flat", "facts"], "name": "both"},
                   {"type": "Dense", "units": 4, "name": "kind"},
                   {"type": "Dense", "units": 1, "name": "price", "inputs": ["both"]}],
        "outputs": {"class": "kind", "cost": "price"}})
    assert read.outputs == {"class": "kind", "cost": "price"}
    assert read.output_shape("class") == (4,) and read.output_shape("cost") == (1,)
    assert parse_model(read.to_json()) == read


def test_frozen_layers_have_no_trainable_variables():
    _, net = forward_graph(model([{"type": "Dense", "units": 2, "trainable": False}, {"type": "Dense", "units": 1}]))
    assert {variable.name: variable.trainable for variable in net.variables} == {
        "dense/kernel": False, "dense/bias": False, "dense_1/kernel": True, "dense_1/bias": True}


def test_the_forward_graph_reads_like_the_definition():
    graph, _ = forward_graph(model([{"type": "Dense", "units": 2, "activation": "relu"}]))
    assert print_graph(graph) == "\n".join([
        "graph forward(x: f32[B,8]) {",
        "  param dense/kernel: f32[8,2]",
        "  param dense/bias: f32[2]",
        "  %0: f32[B,2] = matmul(x, dense/kernel)  # dense",
        "  %1: f32[B,2] = add(%0, dense/bias)  # dense",
        "  %2: f32[B,2] = relu(%1)  # dense",
        "  return dense=%2",
        "}"])


LAYERS = st.one_of(
    st.builds(lambda units, activation: {"type": "Dense", "units": units, "activation": activation},
              st.integers(1, 9), st.sampled_from([None, "relu", {"type": "elu", "alpha": 0.5}])),
    st.sampled_from([{"type": "BatchNormalization"}, {"type": "Dropout", "rate": 0.5}, {"type": "Flatten"},
                     {"type": "Activation", "activation": "gelu"}, {"type": "ReLU", "max_value": 6}]))


@given(st.lists(LAYERS, min_size=1, max_size=6), st.lists(st.integers(1, 6), min_size=1, max_size=3))
def test_a_model_with_defaults_filled_in_reads_back_equal(layers, shape):
    read = model(layers, shape)
    document = read.to_json()
    again = parse_model(json.loads(json.dumps(document)))
    assert again == read and again.to_json() == document and again.types.keys() == read.types.keys()


@pytest.mark.parametrize("count", [1, 10_000])
def test_as_many_layers_as_allowed(count):
    assert len(model([{"type": "Dense", "units": 8}] * count).layers) == count
