"""Options of training end to end: averages of weights, accumulated gradients, constraints, frozen and shared layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data.dataset import Dataset
from engine.graph.build import forward_graph
from engine.variables import initial_weights
from tests.engine.training import dataset, job, train

TOWER: dict[str, Any] = {"inputs": {"i": {"shape": [6]}}, "layers": [
    {"type": "Dense", "units": 6, "activation": "tanh", "kernel_constraint": {"type": "MaxNorm", "max_value": 0.5}},
    {"type": "BatchNormalization"}]}
LAYERS: list[dict[str, Any]] = [
    {"type": "Dense", "name": "first", "units": 6}, {"model": TOWER, "name": "tower"},
    {"use": "tower", "name": "again"},
    {"type": "Dense", "name": "last", "units": 3}]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    generator = np.random.default_rng(2)
    label = generator.integers(0, 3, 150)
    x = (generator.standard_normal((3, 5))[label] * 2 + generator.standard_normal((150, 5))).astype("float32")
    return dataset(tmp_path_factory.mktemp("data"), x=x, label=label.astype("int64"))


@pytest.mark.parametrize("optimizer", [
    {"type": "Adam", "learning_rate": 0.01, "use_ema": True, "ema_momentum": 0.9},
    {"type": "SGD", "learning_rate": 0.1, "gradient_accumulation_steps": 3},
    {"type": "Nadam", "learning_rate": 0.01, "gradient_accumulation_steps": 2, "use_ema": True,
     "ema_overwrite_frequency": 2},
    {"type": "Lamb", "learning_rate": 0.01}, {"type": "Adafactor", "learning_rate": 0.05},
    {"type": "Muon", "learning_rate": 0.02, "weight_decay": 0.01},
], ids=lambda options: options["type"])
def test_it_learns_stops_and_goes_on_to_the_bit(data: Dataset, tmp_path: Path, optimizer: dict[str, Any]):
    spec = job(data, LAYERS, optimizer=optimizer, epochs=4, metrics=["accuracy", "f1_score"])
    whole = train(spec, data, tmp_path / "whole")
    losses = whole.recorder.epochs("loss")
    assert losses[-1] < losses[0] and np.isfinite(losses).all()
    norms = np.sqrt((whole.weights["tower/dense/kernel"] ** 2).sum(0))
    # As in Keras, an average is taken of weights before the constraint holds.
    assert (norms <= (0.6 if optimizer.get("use_ema") else 0.501)).all() and norms.max() > 0.1
    part = train(spec, data, tmp_path / "part", stop_after=11)
    rest = train(spec, data, tmp_path / "rest", resume=part.files)
    assert rest.bytes == whole.bytes


def test_what_is_frozen_stays(data: Dataset, tmp_path: Path):
    spec = job(data, LAYERS, freeze=["tower", "fir*"], epochs=2)
    first = initial_weights(forward_graph(spec.model)[1].variables, 3)
    trained = train(spec, data, tmp_path).weights
    changed = {name for name, array in trained.items() if (array != first[name]).any()}
    assert changed == {"last/kernel", "last/bias"}


def test_an_average_takes_the_place_of_the_weights(data: Dataset, tmp_path: Path):
    """With momentum 1 the average stays what it was after the first update."""
    once = train(job(data, LAYERS, epochs=1, steps_per_epoch=1, optimizer="sgd"), data, tmp_path / "once")
    optimizer = {"type": "SGD", "use_ema": True, "ema_momentum": 1.0}
    kept = train(job(data, LAYERS, epochs=3, optimizer=optimizer, shuffle=False), data, tmp_path / "kept")
    first = train(job(data, LAYERS, epochs=1, steps_per_epoch=1, optimizer="sgd", shuffle=False), data, tmp_path / "1")
    assert once.weights.keys() == kept.weights.keys()
    np.testing.assert_array_equal(kept.weights["last/kernel"], first.weights["last/kernel"])
