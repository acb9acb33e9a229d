"""Models as ONNX: every layer's sample, computed by ONNX's own reference, gives what our reference gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from engine import formats, registry
from engine.definition.model import parse_model
from engine.errors import WeightsError
from engine.formats import Metadata
from engine.graph.build import forward_graph
from engine.graph.interpret import interpret
from engine.onnx.export import onnx_model, write_onnx
from engine.options import write
from engine.variables import initial_weights

BATCH = 3
SAMPLES = [(name, place) for name, cls in registry.entries("layer").items() for place in range(len(cls.samples))]  # type: ignore[attr-defined]


def document(name: str, sample: Any) -> dict[str, Any]:
    inputs = {f"x{place}": {"shape": list(shape)} for place, shape in enumerate(sample.inputs)}
    return {"inputs": inputs, "layers": [{"type": name, "inputs": list(inputs), **sample.options}]}


def both(written: dict[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Outputs by our interpreter and by ONNX's."""
    model = parse_model(written, "")
    graph, net = forward_graph(model)
    random = np.random.default_rng(0)
    weights = initial_weights(net.variables, 0)
    for array in weights.values():
        array += np.abs(random.standard_normal(array.shape)).astype("f4") / 4
    fed = {name: random.standard_normal((BATCH, *shape)).astype("f4") for name, shape in model.inputs.items()}
    if any("embeddings" in name for name in weights):
        fed = {name: np.abs(array).astype("i4").astype("f4") for name, array in fed.items()}
    ours = interpret(graph, fed, weights)
    metadata = Metadata(definition=model.to_json(), preprocessing={}, engine_version="1")
    exported = onnx_model(metadata, weights)
    write_onnx(exported)
    names = [output.name for output in exported.graph.output]
    return ours, dict(zip(names, ReferenceEvaluator(exported).run(names, fed), strict=True))


UNWRITTEN = ("ContrastLimitedAdaptiveHistogramEqualization",)
"""Layers of what ONNX has no operator for, and no short way around."""


@pytest.mark.parametrize("name", UNWRITTEN)
def test_what_onnx_does_not_have_is_refused_by_name(name):
    for sample in registry.entries("layer")[name].samples:  # type: ignore[attr-defined]
        with pytest.raises(WeightsError, match="the operation clahe cannot be written as ONNX"):
            both(document(name, sample))


@pytest.mark.parametrize(("name", "place"), [case for case in SAMPLES if case[0] not in UNWRITTEN])
def test_every_layer(name, place):
    sample = registry.entries("layer")[name].samples[place]  # type: ignore[attr-defined]
    ours, theirs = both(document(name, sample))
    assert set(ours) == set(theirs)
    for output, expected in ours.items():
        assert theirs[output].shape == expected.shape
        np.testing.assert_allclose(theirs[output], expected, rtol=1e-5, atol=1e-5)


REQUIRED = {"threshold": {"threshold": 0.1, "default_value": -1.0}}


@pytest.mark.parametrize("name", sorted(registry.entries("activation")))
def test_every_activation(name):
    activation = write(registry.entries("activation")[name](**REQUIRED.get(name, {})))
    ours, theirs = both({"inputs": {"x": {"shape": [6]}}, "layers": [
        {"type": "Activation", "name": "y", "activation": activation}]})
    np.testing.assert_allclose(theirs["y"], ours["y"], rtol=1e-5, atol=1e-5)


def test_preprocessing_on_request():
    """The model then takes pictures as they are stored: uint8, rescaled inside."""
    model = parse_model({"inputs": {"image": {"shape": [4, 4, 1]}}, "layers": [{"type": "Flatten", "name": "y"}]}, "")
    preprocessing = {"inputs": {"image": {"shape": [4, 4, 1], "dtype": "uint8",
                                          "parts": [{"steps": [{"type": "Rescaling", "scale": 0.5, "offset": 1.0}]}]}}}
    metadata = Metadata(definition=model.to_json(), preprocessing=preprocessing, engine_version="1")
    exported = onnx_model(metadata, {}, preprocessing=True)
    pictures = np.arange(32, dtype=np.uint8).reshape(2, 4, 4, 1)
    (found,) = ReferenceEvaluator(exported).run(None, {"image": pictures})
    np.testing.assert_array_equal(found, pictures.reshape(2, 16) * np.float32(0.5) + 1)


def test_equal_models_give_equal_bytes(tmp_path: Path):
    written = {"inputs": {"x": {"shape": [3]}}, "layers": [{"type": "Dense", "units": 2}]}
    model = parse_model(written, "")
    weights = initial_weights(forward_graph(model)[1].variables, 0)
    metadata = Metadata(definition=model.to_json(), preprocessing={}, engine_version="1")
    for name in ("a", "b"):
        formats.weights_format("onnx").write(tmp_path / name, weights, metadata)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert onnx.load(tmp_path / "a").opset_import[0].version == 18
