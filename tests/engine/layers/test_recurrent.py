"""Recurrent layers: the quick steps against ops step by step, masks, states, directions, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.autodiff import gradients
from engine.cells.gated import Gated
from engine.definition.model import parse_model
from engine.errors import DefinitionError
from engine.formats.torch_layout import torch_tensors
from engine.graph.build import forward_graph
from engine.graph.interpret import interpret
from engine.graph.ir import GraphBuilder
from engine.layers.base import Net
from engine.options import Mismatch, entry, parse
from engine.types import Batch, Type

STEPS, FEATURES, EXAMPLES = 5, 3, 4
CELLS: tuple[dict[str, Any], ...] = (
    {"type": "SimpleRNN", "units": 3}, {"type": "LSTM", "units": 4}, {"type": "GRU", "units": 2},
    {"type": "GRU", "units": 2, "use_bias": False}, {"type": "LSTM", "units": 3, "activation": "relu"})


def outputs(written: dict[str, Any], *, masked: bool = False, states: int = 0, gradient: bool = False,
            mask: np.ndarray | None = None, x: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """All outputs of a layer in float64, and the gradients of the squares' sum, for drawn inputs and weights."""
    random = np.random.default_rng(3)
    net = Net(GraphBuilder("layer"), training=False)
    feeds = {"x": random.standard_normal((EXAMPLES, STEPS, FEATURES)) if x is None else x}
    inputs = [net.b.input("x", Type((Batch(), STEPS, FEATURES)))]
    if masked:
        feeds["mask"] = (random.random((EXAMPLES, STEPS)) < 0.6).astype(float) if mask is None else mask
        net.masks[inputs[0]] = net.b.input("mask", Type((Batch(), STEPS)))
    for place in range(states):
        feeds[f"h{place}"] = random.standard_normal((EXAMPLES, written["units"]))
        inputs.append(net.b.input(f"h{place}", Type((Batch(), written["units"]))))
    found = net.call("layer", parse(entry("layer"), written, ""), tuple(inputs))
    weights = {variable.name: random.standard_normal(variable.shape) / 2 for variable in net.variables}
    shown = {f"y{place}": value for place, value in enumerate(found)}
    if gradient:
        total = net.b.constant(0.0)
        for value in found:
            square = net.b.op("reduce_sum", net.b.op("square", value), axes=tuple(range(len(value.shape))))
            total = net.b.op("add", total, square)
        wanted = {**{value.name: value for value in inputs}, **net.b.parameters}
        shown |= {f"d {name}": grad for name, grad in zip(
            wanted, gradients(net.b, total, list(wanted.values())), strict=True)}
    return interpret(net.b.finish(**shown), feeds, weights)


def close(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert set(one) == set(other)
    for name, expected in other.items():
        np.testing.assert_allclose(one[name], expected, rtol=1e-10, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("more", [{}, {"return_sequences": True, "return_state": True},
                                  {"go_backwards": True, "return_sequences": True}])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_the_quick_steps_are_those_of_ops_one_by_one(cell, masked, more, monkeypatch):
    written = {**cell, **more}
    states = (2 if cell["type"] == "LSTM" else 1) if "return_state" in more else 0
    quick = outputs(written, masked=masked, states=states, gradient=True)
    monkeypatch.setattr(Gated, "quick", property(lambda self: False))
    if cell["type"] == "GRU":
        monkeypatch.setattr("engine.cells.gru_cell.GRUCell.quick", property(lambda self: False))
    close(quick, outputs(written, masked=masked, states=states, gradient=True))


@pytest.mark.parametrize("cell", CELLS)
def test_padding_behind_the_end_changes_nothing(cell):
    """A sequence of three steps, and the same one followed by whatever the mask leaves out."""
    random = np.random.default_rng(0)
    mask = np.repeat([[1.0, 1.0, 1.0, 0.0, 0.0]], EXAMPLES, 0)
    x = random.standard_normal((EXAMPLES, STEPS, FEATURES))
    other = x.copy()
    other[:, 3:] = 100.0
    close(outputs(cell, masked=True, mask=mask, x=x, gradient=False),
          outputs(cell, masked=True, mask=mask, x=other, gradient=False))


def test_both_directions_are_the_layer_and_the_layer_backwards():
    layer = {"type": "LSTM", "units": 3, "return_sequences": True}
    both = outputs({"type": "Bidirectional", "layer": layer, "merge_mode": None})
    forward = outputs(layer)["y0"]
    assert both["y0"].shape == both["y1"].shape == (EXAMPLES, STEPS, 3)
    np.testing.assert_allclose(both["y0"], forward, rtol=1e-12)  # the same draws come first
    merged = outputs({"type": "Bidirectional", "layer": layer, "merge_mode": "ave"})["y0"]
    np.testing.assert_allclose(merged, (both["y0"] + both["y1"]) / 2, rtol=1e-12)


def test_variables_are_called_as_keras_calls_them():
    model = parse_model({"inputs": {"x": {"shape": [4, 3]}}, "layers": [
        {"type": "Bidirectional", "name": "both", "layer": {"type": "LSTM", "units": 2, "return_sequences": True}},
        {"type": "RNN", "name": "rnn", "cell": {"type": "StackedRNNCells", "cells": [
            {"type": "GRUCell", "units": 2}, {"type": "GRUCell", "units": 2}]}}]}, "")
    names = [variable.name for variable in forward_graph(model)[1].variables]
    assert names[:3] == [f"both/forward_lstm/lstm_cell/{name}" for name in ("kernel", "recurrent_kernel", "bias")]
    assert names[3] == "both/backward_lstm/lstm_cell/kernel"
    assert names[6] == "rnn/stacked_rnn_cells/gru_cell/kernel"
    assert names[9] == "rnn/stacked_rnn_cells/gru_cell_1/kernel"


@pytest.mark.parametrize(("layer", "pointer", "part"), [
    ({"type": "LSTM", "units": 3, "stateful": True}, "/stateful", "batch"),
    ({"type": "LSTM", "units": 0}, "/units", "at least 1"),
    ({"type": "RNN", "cell": {"type": "LSTMCell", "units": 3, "dropout": 1}}, "/cell/dropout", "below 1"),
    ({"type": "RNN", "cell": {"type": "LSTM", "units": 3}}, "/cell/type", "LSTMCell"),
    ({"type": "RNN", "cell": {"type": "StackedRNNCells", "cells": []}}, "/cell/cells", "1 to"),
    ({"type": "Bidirectional", "layer": {"type": "Dense", "units": 3}}, "/layer", "recurrent layer"),
    ({"type": "Bidirectional", "layer": {"type": "GRU", "units": 3, "go_backwards": True}}, "/layer/go_backwards",
     "false"),
    ({"type": "Bidirectional", "layer": {"type": "GRU", "units": 3}, "backward_layer": {"type": "GRU", "units": 3}},
     "/backward_layer/go_backwards", "True"),
    ({"type": "Bidirectional", "layer": {"type": "GRU", "units": 3, "dtype": "float16"}}, "/layer/dtype", "float32"),
    ({"type": "TimeDistributed", "layer": {"type": "Dense", "units": 3, "trainable": False}}, "/layer/trainable",
     "freeze"),
    ({"type": "GroupQueryAttention", "head_dim": 2, "num_query_heads": 3, "num_key_value_heads": 2},
     "/num_query_heads", "multiple"),
])
def test_what_is_refused_is_named(layer, pointer, part):
    with pytest.raises(Mismatch) as caught:
        entry("layer")(layer, "")
    assert caught.value.faults[0].pointer == pointer
    assert part in caught.value.faults[0].detail


@pytest.mark.parametrize(("layer", "shape", "pointer"), [
    ({"type": "LSTM", "units": 3}, [4], "/layers/0"),
    ({"type": "LSTM", "units": 3}, [4, 3, 2], "/layers/0"),
    ({"type": "TimeDistributed", "layer": {"type": "Conv2D", "filters": 3, "kernel_size": 2}}, [4, 3], "/layers/0"),
    ({"type": "SimpleRNN", "units": 3, "bias_initializer": "identity"}, [4, 3], "/layers/0/bias_initializer"),
    ({"type": "RNN", "cell": {"type": "GRUCell", "units": 3, "reset_after": False, "bias_initializer": "identity"}},
     [4, 3], "/layers/0/cell/bias_initializer"),
    ({"type": "Bidirectional", "layer": {"type": "RNN", "cell": {"type": "StackedRNNCells", "cells": [
        {"type": "SimpleRNNCell", "units": 3, "bias_initializer": "identity"}]}}}, [4, 3],
     "/layers/0/layer/cell/cells/0/bias_initializer"),
])
def test_what_does_not_fit_is_found_before_training(layer, shape, pointer):
    with pytest.raises(DefinitionError) as caught:
        parse_model({"inputs": {"x": {"shape": shape}}, "layers": [layer]}, "")
    assert caught.value.faults[0].pointer == pointer


@pytest.mark.parametrize(("layer", "names"), [
    ({"type": "LSTM", "units": 2}, {"weight_ih_l0": (8, 3), "weight_hh_l0": (8, 2), "bias_ih_l0": (8,),
                                    "bias_hh_l0": (8,)}),
    ({"type": "GRU", "units": 2, "use_bias": False}, {"weight_ih_l0": (6, 3), "weight_hh_l0": (6, 2)}),
    ({"type": "Bidirectional", "layer": {"type": "SimpleRNN", "units": 2, "use_bias": False}},
     {"weight_ih_l0": (2, 3), "weight_hh_l0": (2, 2), "weight_ih_l0_reverse": (2, 3), "weight_hh_l0_reverse": (2, 2)}),
    ({"type": "TimeDistributed", "layer": {"type": "Dense", "units": 2}}, {"weight": (2, 3), "bias": (2,)}),
])
def test_weights_by_the_names_of_pytorch(layer, names):
    model = parse_model({"inputs": {"x": {"shape": [4, 3]}}, "layers": [{**layer, "name": "l"}]}, "")
    variables = {variable.name: np.ones(variable.shape, "f4") for variable in forward_graph(model)[1].variables}
    assert {name: array.shape for name, array in torch_tensors(model, variables).items()} == {
        f"l.{name}": shape for name, shape in names.items()}


def test_gates_stand_in_the_order_of_pytorch():
    """GRU: z, r, h here, r, z, n there; the state's bias of a GRU is one of its own."""
    model = parse_model({"inputs": {"x": {"shape": [4, 1]}}, "layers": [{"type": "GRU", "units": 1, "name": "l"}]}, "")
    found = torch_tensors(model, {"l/gru_cell/kernel": np.array([[1.0, 2, 3]]),
                                  "l/gru_cell/recurrent_kernel": np.array([[4.0, 5, 6]]),
                                  "l/gru_cell/bias": np.array([[1.0, 2, 3], [4, 5, 6]])})
    assert {name: array.ravel().tolist() for name, array in found.items()} == {
        "l.weight_ih_l0": [2, 1, 3], "l.weight_hh_l0": [5, 4, 6], "l.bias_ih_l0": [2, 1, 3], "l.bias_hh_l0": [5, 4, 6]}
