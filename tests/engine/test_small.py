"""The smallest trainings that there can be, from data to prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from tests.engine.training import Trained, dataset, job, train

IMAGE: list[dict[str, Any]] = [
    {"type": "Conv2D", "filters": 1, "kernel_size": 1}, {"type": "BatchNormalization"},
    {"type": "MaxPooling2D", "pool_size": 1}, {"type": "DepthwiseConv2D", "kernel_size": 1},
    {"type": "AveragePooling2D", "pool_size": 1}, {"type": "GlobalAveragePooling2D"}, {"type": "Dense", "units": 2},
]
DENSE: list[dict[str, Any]] = [{"type": "Dense", "units": 3, "activation": "relu"}, {"type": "Dropout", "rate": 0.5},
                               {"type": "Dense", "units": 2}]


def trained(tmp_path: Path, layers: list[dict[str, Any]], x: np.ndarray, label: np.ndarray, **options: Any) -> Trained:
    """Train and evaluate, and predict with the file what there is."""
    data = dataset(tmp_path, x=x, label=label)
    block = options.pop("data_block", {"split": {"validation": 0}})
    found = train(job(data, layers, data_block=block, metrics=["accuracy"], **options), data, tmp_path / "work")
    model = engine.load(found.files.weights, threads=1)
    assert np.isfinite(model.predict(x)).all()
    model.close()
    assert all(np.isfinite(point.values["loss"]) for point in found.recorder.points)
    return found


@pytest.mark.parametrize("batch", [1, 2, 7, 1_000_000])
def test_pictures_of_one_pixel(tmp_path: Path, batch: int):
    x = np.random.default_rng(0).integers(0, 256, (7, 1, 1, 1)).astype("uint8")
    found = trained(tmp_path, IMAGE, x, np.arange(7) % 2, batch_size=batch)
    assert found.outcome.step == 3 * -(-7 // batch)


@pytest.mark.parametrize(("layers", "shape"), [(DENSE, (1,)), (IMAGE, (1, 1, 1))])
def test_one_example_for_training_and_one_for_validation(tmp_path: Path, layers: list[dict[str, Any]],
                                                         shape: tuple[int, ...]):
    x = np.random.default_rng(0).standard_normal((2, *shape)).astype("float32")
    found = trained(tmp_path, layers, x, np.arange(2), data_block={"split": {"validation": 0.5}})
    assert len(found.recorder.epochs("val_loss")) == 3


def test_no_validation_has_no_logs_of_it(tmp_path: Path):
    found = trained(tmp_path, DENSE, np.ones((4, 2), "float32"), np.arange(4) % 2)
    assert set(found.recorder.points[-1].values) == {"loss", "accuracy", "learning_rate"}
    assert found.outcome.metrics["test"] == {}


def test_one_step_of_one_epoch(tmp_path: Path):
    found = trained(tmp_path, DENSE, np.ones((9, 2), "float32"), np.arange(9) % 2, epochs=1, steps_per_epoch=1)
    assert found.outcome.step == 1
