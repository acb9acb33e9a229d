"""Where a NaN began: the node, in whatever step it was, with everything random in the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import NumericsError
from tests.engine.training import dataset, job, train

SGD = {"type": "SGD", "learning_rate": 1.0}


def fails(tmp_path: Path, layers: list[dict[str, Any]], x: np.ndarray, *, batch: int = 16,
          **training: Any) -> NumericsError:
    """The error of a training on these examples with labels 0 and 1."""
    data = dataset(tmp_path, x=x, label=(np.arange(len(x)) % 3 == 0).astype("int64"))
    spec = job(data, layers, callbacks=["TerminateOnNaN"], batch_size=batch,
               **{"optimizer": SGD, "data_block": {"split": {"validation": 0}}, "metrics": ["accuracy"], **training})
    with pytest.raises(NumericsError) as caught:
        train(spec, data, tmp_path / "work")
    return caught.value


def picture(*, bad: int, count: int = 100, factor: float = 1e30) -> np.ndarray:
    """Small pictures of which one is far too bright."""
    x = np.random.default_rng(3).standard_normal((count, 6, 6, 1)).astype("float32")
    x[bad] *= np.float32(factor)
    return x


CNN: list[dict[str, Any]] = [
    {"type": "Conv2D", "filters": 2, "kernel_size": 3, "name": "edges"}, {"type": "Dropout", "rate": 0.3},
    {"type": "Conv2D", "filters": 2, "kernel_size": 3, "name": "squared", "activation": "relu"},
    {"type": "Multiply", "inputs": ["squared", "squared"], "name": "product"},
    {"type": "Flatten"}, {"type": "Dense", "units": 2},
]
ONLY: list[dict[str, Any]] = [
    {"type": "Dense", "units": 2, "name": "only", "kernel_initializer": "zeros", "use_bias": False}]


@pytest.mark.parametrize("batch", [16, 48])
def test_one_example_in_a_shuffled_augmented_epoch(tmp_path: Path, batch: int):
    """The only step that can fail is that of the one picture; its square is beyond float32."""
    block = {"split": {"validation": 0}, "augmentation": [{"type": "RandomFlip"}, {"type": "RandomTranslation",
             "height_factor": 0.2, "width_factor": 0.2}]}
    error = fails(tmp_path, CNN, picture(bad=71), batch=batch, data_block=block,
                  optimizer={"type": "SGD", "learning_rate": 1e-9})
    assert error.node == "product (multiply)"


def test_an_update_that_overflowed_is_named_with_its_step_and_weight(tmp_path: Path):
    """The loss of that step was finite, that of the next one is not."""
    x = np.full((64, 3), 1e20, "float32")
    x[:48] = 0
    error = fails(tmp_path, ONLY, x, shuffle=False, optimizer={"type": "SGD", "learning_rate": 1e30})
    assert error.node == "optimizer (sgd) of only/kernel in step 4"


def test_a_gradient_that_overflowed_is_named(tmp_path: Path):
    error = fails(tmp_path, [{"type": "Dense", "units": 4, "name": "first"},
                             {"type": "Dense", "units": 2, "name": "second", "kernel_initializer": "zeros"}],
                  np.full((64, 3), 1e30, "float32"), shuffle=False, batch=64, optimizer={
                      "type": "SGD", "learning_rate": 1.0, "global_clipnorm": 1.0})
    assert error.node is not None and error.node.startswith("clipping (")
    assert error.node.endswith("in step 1")


def test_a_step_to_the_epoch_before(tmp_path: Path):
    """With one batch an epoch, the update that overflows is always the epoch's last one."""
    error = fails(tmp_path, ONLY, np.full((64, 3), 1e20, "float32"), batch=64,
                  optimizer={"type": "SGD", "learning_rate": 1e30})
    assert error.node == "optimizer (sgd) of only/kernel in step 1"
