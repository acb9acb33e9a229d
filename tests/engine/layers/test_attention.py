"""Attention: what masks leave out is not seen, scores come out on request, and a model of it all is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.definition.model import parse_model
from engine.errors import DefinitionError
from engine.formats import Metadata
from engine.graph.build import forward_graph
from engine.graph.interpret import interpret
from engine.onnx.export import onnx_model
from engine.variables import initial_weights

STEPS, FEATURES = 5, 4
LAYERS: tuple[dict[str, Any], ...] = (
    {"type": "Attention", "use_scale": True}, {"type": "AdditiveAttention"},
    {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 3},
    {"type": "GroupQueryAttention", "head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2})


def predict(layers: list[dict[str, Any]], feeds: dict[str, np.ndarray], outputs: Any = None) -> dict[
        str, np.ndarray]:
    """Outputs of a model by fixed weights."""
    document: dict[str, Any] = {"inputs": {name: {"shape": list(array.shape[1:])} for name, array in feeds.items()},
                                "layers": layers}
    if outputs:
        document["outputs"] = outputs
    graph, net = forward_graph(parse_model(document, ""))
    random = np.random.default_rng(0)
    weights = {name: np.asarray(random.standard_normal(array.shape), "f4") / 2
               for name, array in initial_weights(net.variables, 0).items()}
    return interpret(graph, feeds, weights)


def drawn(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((3, STEPS, FEATURES)).astype("f4")


@pytest.mark.parametrize("layer", LAYERS)
def test_nobody_sees_later_steps_of_causal_attention(layer):
    layers = [{**layer, "name": "y", "inputs": ["x", "x"], "arguments": {"use_causal_mask": True}}]
    before, other = drawn(0), drawn(0)
    other[:, 3:] += 7.0
    one, two = (predict(layers, {"x": x})["y"] for x in (before, other))
    np.testing.assert_allclose(one[:, :3], two[:, :3], rtol=1e-5, atol=1e-6)
    assert np.abs(one[:, 3:] - two[:, 3:]).max() > 1e-3


@pytest.mark.parametrize("layer", LAYERS)
def test_padding_is_not_seen(layer):
    """Code 0 is padding; whatever vector the table has for it, the real steps' outputs stay."""
    codes = np.array([[1, 2, 3, 0, 0], [4, 1, 0, 0, 0]], np.float32)
    short = codes[:, :3]
    layers = [{"type": "Embedding", "name": "e", "input_dim": 5, "output_dim": FEATURES, "mask_zero": True},
              {**layer, "name": "y", "inputs": ["e", "e"]}]
    shown = [predict(layers, {"x": fed})["y"] for fed in (codes, short)]
    np.testing.assert_allclose(shown[0][0, :3], shown[1][0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(shown[0][1, :2], shown[1][1, :2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", LAYERS)
def test_scores_are_shares_of_the_steps(layer):
    arguments = {"return_attention_scores": True, "use_causal_mask": True}
    found = predict([{**layer, "name": "y", "inputs": ["x", "x"], "arguments": arguments}], {"x": drawn(1)},
                    {"output": "y", "scores": "y:1"})
    output, scores = found.values()
    assert output.shape == (3, STEPS, FEATURES) and scores.shape[-2:] == (STEPS, STEPS)
    np.testing.assert_allclose(scores.sum(-1), 1, rtol=1e-5)
    assert np.all(scores[..., 0, 1:] == 0)


def test_a_mask_given_by_name_is_one_more():
    x, mask = drawn(2), np.ones((3, STEPS, STEPS), np.float32)
    mask[:, :, 2] = 0
    other = x.copy()
    other[:, 2] += 5
    layer = {**LAYERS[2], "name": "y", "inputs": {"query": "q", "value": "x", "attention_mask": "mask"}}
    one, two = (predict([layer], {"q": x, "x": given, "mask": mask})["y"] for given in (x, other))
    np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


def test_states_and_masks_go_from_layer_to_layer():
    """An encoder's last states begin a decoder; the embedding's mask is the encoder's."""
    layers: list[dict[str, Any]] = [
        {"type": "Embedding", "name": "e", "input_dim": 6, "output_dim": 4, "mask_zero": True, "inputs": ["source"]},
        {"type": "LSTM", "name": "encoder", "units": 3, "return_state": True},
        {"type": "LSTM", "name": "y", "units": 3, "return_sequences": True,
         "inputs": ["target", "encoder:1", "encoder:2"]}]
    source = np.array([[1, 2, 0, 0], [5, 3, 2, 1]], np.float32)
    target = np.random.default_rng(0).standard_normal((2, 3, 2)).astype("f4")
    whole = predict(layers, {"source": source, "target": target}, ["y"])["y"]
    cut = predict(layers, {"source": source[:, :2], "target": target}, ["y"])["y"]
    np.testing.assert_allclose(whole[0], cut[0], rtol=1e-5, atol=1e-6)
    assert np.abs(whole[1] - cut[1]).max() > 1e-4


@pytest.mark.parametrize("recurrent", [
    {"type": "Bidirectional", "layer": {"type": "GRU", "units": 3, "return_sequences": True}},
    {"type": "LSTM", "units": 3, "go_backwards": True}])
def test_masked_sequences_as_onnx(recurrent):
    from onnx.reference import ReferenceEvaluator

    model = parse_model({"inputs": {"x": {"shape": [4]}}, "layers": [
        {"type": "Embedding", "input_dim": 5, "output_dim": 3, "mask_zero": True}, {**recurrent, "name": "y"}]}, "")
    graph, net = forward_graph(model)
    weights = initial_weights(net.variables, 1)
    x = np.array([[1, 2, 0, 0], [0, 3, 0, 4]], np.float32)
    exported = onnx_model(Metadata(definition=model.to_json(), preprocessing={}, engine_version="1"), weights)
    (found,) = ReferenceEvaluator(exported).run(None, {"x": x})
    np.testing.assert_allclose(np.asarray(found), interpret(graph, {"x": x}, weights)["y"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("layer", "shapes", "part"), [
    ({"type": "Attention"}, {"a": [3, 4], "b": [3, 5]}, "a key of shape"),
    ({"type": "Attention"}, {"a": [3, 4]}, "2 to 3 inputs"),
    ({"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 3}, {"a": [4], "b": [4]}, "rank 3"),
    ({"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 3}, {"a": [3, 4], "b": [3, 4], "c": [2, 4]}, "same"),
    ({"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 3, "attention_axes": 2}, {"a": [3, 4], "b": [3, 4]},
     "between batch and features"),
    ({"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 3, "arguments": {"use_causal_mask": 1}},
     {"a": [3, 4], "b": [3, 4]}, "true or false"),
    ({"type": "LSTM", "units": 3}, {"a": [3, 4], "b": [3]}, "initial states"),
])
def test_inputs_that_do_not_fit(layer, shapes, part):
    document = {"inputs": {name: {"shape": shape} for name, shape in shapes.items()},
                "layers": [{**layer, "inputs": list(shapes)}]}
    with pytest.raises(DefinitionError) as caught:
        parse_model(document, "")
    assert part in caught.value.faults[0].detail
