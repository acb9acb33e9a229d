"""Going on from a checkpoint: on another number of threads, and from the rarer moments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data.dataset import Dataset
from engine.programs import Pipeline, Stored
from engine.runner import Totals
from tests.engine.stepping import program
from tests.engine.training import Trained, dataset, job, train

LAYERS: list[dict[str, Any]] = [
    {"type": "Conv2D", "filters": 17, "kernel_size": 3, "padding": "same", "activation": "relu"},
    {"type": "BatchNormalization"}, {"type": "MaxPooling2D"}, {"type": "Flatten"}, {"type": "Dropout", "rate": 0.3},
    {"type": "Dense", "units": 3},
]
BLOCK = {"split": {"validation": 0.2, "test": 0.2}, "augmentation": [{"type": "RandomFlip"}]}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    generator = np.random.default_rng(2)
    label = generator.integers(0, 3, 131)
    image = (generator.integers(0, 80, (131, 8, 9, 3)) + 60 * label[:, None, None, None]).astype("uint8")
    return dataset(tmp_path_factory.mktemp("pictures"), x=image, label=label)


@pytest.fixture(scope="module")
def undisturbed(pictures: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(job(pictures, LAYERS, data_block=BLOCK), pictures, tmp_path_factory.mktemp("undisturbed"))


class Stops:
    """Asks for a pause when asked for the n-th time."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self) -> str | None:
        self.left -= 1
        return "pause" if self.left < 0 else None


@pytest.mark.parametrize("threads", [(1, 4), (4, 2)])
def test_on_another_number_of_threads(pictures: Dataset, undisturbed: Trained, tmp_path: Path,
                                      threads: tuple[int, int]):
    before, after = (job(pictures, LAYERS, data_block=BLOCK, threads=count) for count in threads)
    first = train(before, pictures, tmp_path / "a", stop_after=3)
    assert train(after, pictures, tmp_path / "b", resume=first.files).bytes == undisturbed.bytes


def test_wherever_a_pause_comes_validation_and_test_included(pictures: Dataset, undisturbed: Trained, tmp_path: Path):
    """Each attempt gets a little further; all of them together are one training. Its test begins anew in each."""
    spec, files, attempts = job(pictures, LAYERS, data_block=BLOCK), None, 0
    while True:
        attempts += 1
        assert attempts < 100
        trained = train(spec, pictures, tmp_path / str(attempts), resume=files, should_stop=Stops(1 + attempts // 4))
        files = trained.files
        if trained.outcome.stopped is None:
            break
    assert attempts > 4
    assert trained.bytes == undisturbed.bytes
    assert trained.outcome.metrics == undisturbed.outcome.metrics


def test_totals_are_exact_beyond_two_to_the_24th_examples():
    made = program([{"type": "Dense", "units": 2}], {"x": (3,)}, {"type": "SGD"}, {"type": "MeanSquaredError"},
                   Pipeline({"x": Stored((3,), "float32", None)}, target=((2,), "float32")),
                   metrics=[{"type": "MeanAbsoluteError"}])
    totals = Totals(made)
    for _ in range(40):
        totals.add(np.array([[0.5, 1_000_001.0, 1_000_001.0]], np.float32), np.array([1_000_001]))
    assert totals.values() == {"loss": 0.5, "mean_absolute_error": 1.0}
    assert totals.sums[1] == 40 * 1_000_001
