"""Training from end to end on small data: it learns, stops, goes on to the bit, and does what its options say."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine.data.dataset import Dataset
from engine.errors import NumericsError, WeightsError
from tests.engine.training import Trained, dataset, job, train

CLASSES = 3
MLP: list[dict[str, Any]] = [{"type": "Dense", "units": 16, "activation": "relu"}, {"type": "Dropout", "rate": 0.2},
       {"type": "BatchNormalization"}, {"type": "Dense", "units": CLASSES}]
LINEAR: list[dict[str, Any]] = [{"type": "Dense", "units": CLASSES}]


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """303 points of 8 numbers around three centres; 16 does not divide them."""
    generator = np.random.default_rng(5)
    label = generator.integers(0, CLASSES, 303)
    centres = generator.standard_normal((CLASSES, 8)) * 2
    x = (centres[label] + generator.standard_normal((303, 8))).astype("float32")
    return dataset(tmp_path_factory.mktemp("blobs"), x=x, label=label.astype("int64"))


@pytest.fixture(scope="module")
def undisturbed(blobs: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(job(blobs, MLP, metrics=["accuracy"]), blobs, tmp_path_factory.mktemp("undisturbed"))


def test_where_the_time_went_is_told_twice(undisturbed: Trained):
    told = [message for level, message in undisturbed.recorder.logs if level == "info"]
    assert [message.split(":")[0].rsplit(" ", 2)[0] for message in told] == ["first step after", "trained for"]
    before, after = ([part.rsplit(" ", 1)[0] for part in message.split(": ")[1].split(", ")] for message in told)
    assert before == ["preparing", "graphs", "weights", "plan", "compute kernels", "first step"]
    assert after == ["steps", "validation", "checkpoints"]


def test_a_job_gets_no_more_threads_than_there_are_for_it(blobs: Dataset, undisturbed: Trained, tmp_path: Path):
    trained = train(job(blobs, MLP, threads=7, metrics=["accuracy"]), blobs, tmp_path, threads=2)
    (log,) = (message for level, message in trained.recorder.logs if level == "warning")
    assert log == "expected at most 2 threads on this worker, received 7: training uses 2"
    np.testing.assert_equal(trained.weights, undisturbed.weights)


def test_less_memory_changes_no_bit(blobs: Dataset, tmp_path: Path):
    """Deep enough for values that wait long for their gradients."""
    layers: list[dict[str, Any]] = [
        layer for _ in range(6) for layer in ({"type": "Dense", "units": 64}, {"type": "BatchNormalization"},
                                              {"type": "Activation", "activation": "relu"})]
    layers.append({"type": "Dense", "units": CLASSES})
    ample = train(job(blobs, layers, epochs=1, batch_size=128), blobs, tmp_path / "ample")
    parameters = 4 * sum(array.size for array in ample.weights.values())
    spec = job(blobs, layers, epochs=1, batch_size=128, memory_bytes=3 * parameters + 200_000)
    scarce = train(spec, blobs, tmp_path / "scarce")
    assert "computed again" in " ".join(message for _, message in scarce.recorder.logs)
    np.testing.assert_equal(scarce.weights, ample.weights)


def test_a_limit_that_cannot_be_kept_is_named(blobs: Dataset, tmp_path: Path):
    scarce = train(job(blobs, MLP, epochs=1, memory_bytes=1000), blobs, tmp_path / "scarce")
    (message,) = (message for level, message in scarce.recorder.logs if level == "warning" and "bytes" in message)
    assert message.startswith("expected a training that plans at most 1,000 bytes, received one of ")
    ample = train(job(blobs, MLP, epochs=1, memory_bytes=10**9), blobs, tmp_path / "ample")
    assert not [message for _, message in ample.recorder.logs if "bytes" in message]


def test_it_learns(undisturbed: Trained):
    losses = undisturbed.recorder.epochs("loss")
    assert losses[-1] < 0.6 * losses[0]
    assert undisturbed.recorder.epochs("val_accuracy")[-1] > 0.8
    assert undisturbed.outcome.stopped is None
    assert [checkpoint.final for checkpoint in undisturbed.recorder.checkpoints] == [False, False, False, True]


@pytest.mark.parametrize("threads", [2, 4])
def test_the_number_of_threads_changes_no_bit(blobs: Dataset, undisturbed: Trained, tmp_path: Path, threads: int):
    assert train(job(blobs, MLP, metrics=["accuracy"], threads=threads), blobs, tmp_path).bytes == undisturbed.bytes


@pytest.mark.parametrize("stop_after", [1, 2, 3, 5])
@pytest.mark.parametrize("reason", ["pause", "shutdown"])
def test_a_resumed_training_ends_with_the_same_bits(blobs: Dataset, undisturbed: Trained, tmp_path: Path,
                                                    stop_after: int, reason: str):
    spec = job(blobs, MLP, metrics=["accuracy"])
    first = train(spec, blobs, tmp_path / "a", stop_after=stop_after, reason=reason)
    assert first.outcome.stopped == reason
    assert train(spec, blobs, tmp_path / "b", resume=first.files).bytes == undisturbed.bytes


def test_every_checkpoint_leads_to_the_same_end(blobs: Dataset, tmp_path: Path):
    spec = job(blobs, MLP, checkpoints={"every_steps": 4, "monitor": "val_loss"},
               callbacks=[{"type": "EarlyStopping", "patience": 1, "restore_best_weights": True},
                          {"type": "ReduceLROnPlateau", "monitor": "loss", "patience": 0, "min_delta": 0.2}])
    whole = train(spec, blobs, tmp_path / "whole")
    kept = whole.recorder.checkpoints
    assert len(kept) > 8
    for number, checkpoint in enumerate(kept):
        assert train(spec, blobs, tmp_path / str(number), resume=checkpoint.files).bytes == whole.bytes


def test_cancel_leaves_no_checkpoint(blobs: Dataset, tmp_path: Path):
    trained = train(job(blobs, MLP), blobs, tmp_path, stop_after=1, reason="cancel")
    assert trained.outcome.stopped == "cancel"
    assert trained.recorder.checkpoints == []


def test_a_checkpoint_of_another_job_is_refused(blobs: Dataset, undisturbed: Trained, tmp_path: Path):
    with pytest.raises(WeightsError, match="does not belong to this training"):
        train(job(blobs, MLP, seed=4), blobs, tmp_path, resume=undisturbed.files)


def test_a_warm_start_begins_with_the_given_weights(blobs: Dataset, tmp_path: Path):
    spec = job(blobs, LINEAR, epochs=1, optimizer={"type": "SGD", "learning_rate": 0})
    first = train(job(blobs, LINEAR, seed=8), blobs, tmp_path / "a")
    assert train(spec, blobs, tmp_path / "b", initial_weights=first.files.weights).weights["dense/kernel"].tolist() == \
        first.weights["dense/kernel"].tolist()
    with pytest.raises(WeightsError, match="missing tensors"):
        train(job(blobs, MLP), blobs, tmp_path / "c", initial_weights=first.files.weights)


def test_the_file_alone_predicts_what_evaluation_saw(blobs: Dataset, tmp_path: Path):
    spec = job(blobs, MLP, metrics=["accuracy"], data_block={"split": {"validation": 0.2, "test": 0.2}})
    trained = train(spec, blobs, tmp_path)
    from engine.data.prepare import prepare

    rows = prepare(blobs, spec.data, seed=3).splits["test"]
    x, label = np.asarray(blobs.columns["x"])[rows], np.asarray(blobs.columns["label"])[rows]
    npz = tmp_path / "weights.npz"
    engine.export_weights(trained.files.weights, "npz", npz)
    for file in (trained.files.weights, npz):
        model = engine.load(file, threads=1)
        accuracy = float((model.predict(x).argmax(1) == label).mean())
        assert accuracy == pytest.approx(trained.outcome.metrics["test"]["last"]["accuracy"], abs=1e-6)
        assert model.classes == ("0", "1", "2")
        model.close()


def test_early_stopping_restores_the_best_weights_also_at_a_normal_end(blobs: Dataset, tmp_path: Path):
    watch = {
        "type": "EarlyStopping",
        "monitor": "val_loss",
        "mode": "max",
        "patience": 99,
        "restore_best_weights": True,
    }
    trained = train(job(blobs, LINEAR, callbacks=[watch], epochs=3), blobs, tmp_path)
    # The highest validation loss is the first epoch's: its weights must be those at the end.
    first = train(job(blobs, LINEAR, epochs=1), blobs, tmp_path / "first")
    np.testing.assert_array_equal(trained.weights["dense/kernel"], first.weights["dense/kernel"])
    assert any("restored" in message for _, message in trained.recorder.logs)


def test_early_stopping_ends_training(blobs: Dataset, tmp_path: Path):
    watch = {"type": "EarlyStopping", "monitor": "val_loss", "min_delta": 100, "patience": 2}
    trained = train(job(blobs, LINEAR, callbacks=[watch], epochs=50), blobs, tmp_path)
    assert trained.outcome.epoch == 3


def test_reduce_lr_on_plateau_lowers_the_rate(blobs: Dataset, tmp_path: Path):
    watch = {"type": "ReduceLROnPlateau", "monitor": "loss", "min_delta": 100, "patience": 1, "factor": 0.5}
    rates = train(job(blobs, LINEAR, callbacks=[watch], epochs=4), blobs, tmp_path).recorder.epochs("learning_rate")
    assert rates == pytest.approx([0.01, 0.01, 0.005, 0.0025])


def test_a_schedule_follows_the_steps(blobs: Dataset, tmp_path: Path):
    schedule = {"type": "ExponentialDecay", "initial_learning_rate": 0.1, "decay_steps": 16, "decay_rate": 0.5}
    trained = train(job(blobs, LINEAR, optimizer={"type": "SGD", "learning_rate": schedule}), blobs, tmp_path)
    assert trained.recorder.epochs("learning_rate") == pytest.approx([0.05, 0.025, 0.0125], rel=0.1)


def test_a_nan_is_named_by_the_node_in_which_it_began(blobs: Dataset, tmp_path: Path):
    layers: list[dict[str, Any]] = [
        {"type": "Dense", "units": 4, "name": "fine"},
        {"type": "Dense", "units": 4, "activation": "elu", "name": "wild"},
        {"type": "Dense", "units": CLASSES},
    ]
    spec = job(blobs, layers, optimizer={"type": "SGD", "learning_rate": 1e30}, callbacks=["TerminateOnNaN"])
    with pytest.raises(NumericsError, match="the loss of step") as caught:
        train(spec, blobs, tmp_path)
    assert caught.value.node is not None
    assert caught.value.node.split(" ")[0] in ("fine", "wild", "dense", "optimizer")


def test_class_weights_count_examples_several_times(blobs: Dataset, tmp_path: Path):
    plain: dict[str, Any] = {
        "optimizer": {"type": "SGD", "learning_rate": 0.05},
        "epochs": 1,
        "batch_size": 1000,
        "shuffle": False,
    }
    weighted = train(job(blobs, LINEAR, class_weight={"0": 2.0}, **plain), blobs, tmp_path / "w").weights
    unweighted = train(job(blobs, LINEAR, **plain), blobs, tmp_path / "u").weights
    only = train(job(blobs, LINEAR, class_weight={"1": 0.0, "2": 0.0}, **plain), blobs, tmp_path / "o").weights
    still = train(
        job(blobs, LINEAR, **{**plain, "optimizer": {"type": "SGD", "learning_rate": 0}}), blobs, tmp_path / "s"
    ).weights
    for name in still:
        step = (unweighted[name] - still[name]) + (only[name] - still[name])
        np.testing.assert_allclose(weighted[name] - still[name], step, atol=1e-6)


def test_sample_weights_come_from_a_column(tmp_path: Path):
    generator = np.random.default_rng(1)
    x, label = generator.standard_normal((40, 3)).astype("float32"), generator.integers(0, CLASSES, 40)
    weight = generator.integers(0, 3, 40).astype("float32")
    weighted = dataset(tmp_path, x=x, label=label, weight=weight)
    (tmp_path / "repeated").mkdir()
    repeated = dataset(tmp_path / "repeated", **{name: np.repeat(array, weight.astype(int), axis=0)
                                                 for name, array in {"x": x, "label": label}.items()})
    options: dict[str, Any] = {
        "optimizer": {"type": "SGD", "learning_rate": 1.0},
        "epochs": 1,
        "batch_size": 200,
        "shuffle": False,
    }
    block = {"features": ["x"], "sample_weight": "weight", "split": {"validation": 0}}
    one = train(job(weighted, LINEAR, data_block=block, **options), weighted, tmp_path / "one").weights
    scaled: dict[str, Any] = {**options, "optimizer": {"type": "SGD", "learning_rate": float(weight.sum() / 40)}}
    other = train(
        job(repeated, LINEAR, data_block={"split": {"validation": 0}}, **scaled), repeated, tmp_path / "two"
    ).weights
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=1e-5)


@pytest.mark.parametrize("clipping", ["clipnorm", "clipvalue", "global_clipnorm"])
def test_gradients_are_clipped(blobs: Dataset, tmp_path: Path, clipping: str):
    def change(**options: float) -> dict[str, np.ndarray]:
        spec = job(
            blobs,
            LINEAR,
            epochs=1,
            batch_size=1000,
            shuffle=False,
            optimizer={"type": "SGD", "learning_rate": 1.0, **options},
        )
        return train(spec, blobs, tmp_path / f"{len(list(tmp_path.iterdir()))}").weights

    start = train(
        job(blobs, LINEAR, epochs=1, optimizer={"type": "SGD", "learning_rate": 0}), blobs, tmp_path / "start"
    ).weights
    free, clipped = change(), change(**{clipping: 0.02})
    gradients = {name: start[name] - free[name] for name in start}
    norms = {name: float(np.linalg.norm(gradient)) for name, gradient in gradients.items()}
    total = float(np.sqrt(sum(norm**2 for norm in norms.values())))
    for name, gradient in gradients.items():
        expected = {"clipvalue": np.clip(gradient, -0.02, 0.02), "clipnorm": gradient * min(1.0, 0.02 / norms[name]),
                    "global_clipnorm": gradient * min(1.0, 0.02 / total)}[clipping]
        np.testing.assert_allclose(start[name] - clipped[name], expected, atol=1e-6)


def test_regularizers_join_the_loss(blobs: Dataset, tmp_path: Path):
    plain: dict[str, Any] = {"epochs": 1, "batch_size": 1000, "optimizer": {"type": "SGD", "learning_rate": 0}}
    bare = train(job(blobs, LINEAR, **plain), blobs, tmp_path / "a")
    layers: list[dict[str, Any]] = [{**LINEAR[0], "kernel_regularizer": {"type": "L2", "l2": 0.1}}]
    heavy = train(job(blobs, layers, **plain), blobs, tmp_path / "b")
    penalty = 0.1 * float((bare.weights["dense/kernel"] ** 2).sum())
    assert heavy.recorder.epochs("loss")[0] - bare.recorder.epochs("loss")[0] == pytest.approx(penalty, rel=1e-4)


def test_steps_per_epoch_ends_an_epoch_early(blobs: Dataset, tmp_path: Path):
    assert train(job(blobs, LINEAR, steps_per_epoch=5, epochs=4), blobs, tmp_path).outcome.step == 20


def test_a_batch_larger_than_the_data_is_the_data(blobs: Dataset, tmp_path: Path):
    assert train(job(blobs, LINEAR, batch_size=4096, epochs=2), blobs, tmp_path).outcome.step == 2


def test_several_outputs_share_a_target_with_weights(blobs: Dataset, tmp_path: Path):
    layers: list[dict[str, Any]] = [{"type": "Dense", "units": 8, "activation": "relu", "name": "trunk"},
              {"type": "Dense", "units": CLASSES, "name": "one", "inputs": ["trunk"]},
              {"type": "Dense", "units": CLASSES, "name": "two", "inputs": ["trunk"]}]
    loss = {"type": "SparseCategoricalCrossentropy", "from_logits": True}
    spec = job(
        blobs,
        layers,
        outputs=["one", "two"],
        loss={"one": loss, "two": loss},
        loss_weights={"one": 1.0, "two": 0.5},
        metrics={"one": ["accuracy"], "two": ["accuracy"]},
    )
    recorder = train(spec, blobs, tmp_path).recorder
    total = np.array(recorder.epochs("one_loss")) + 0.5 * np.array(recorder.epochs("two_loss"))
    np.testing.assert_allclose(recorder.epochs("loss"), total, rtol=1e-5)


def test_regression_and_several_inputs(tmp_path: Path):
    generator = np.random.default_rng(2)
    a, c = generator.standard_normal((200, 2)).astype("float32"), generator.standard_normal((200, 3)).astype("float32")
    data = dataset(tmp_path, a=a, c=c, label=(a.sum(1) - 2 * c[:, 0]).astype("float32"))
    layers: list[dict[str, Any]] = [{"type": "Concatenate", "inputs": ["left", "right"]}, {"type": "Dense", "units": 1}]
    spec = job(
        data,
        layers,
        inputs={"left": {}, "right": {}},
        epochs=30,
        loss="mean_squared_error",
        metrics=["mae"],
        optimizer={"type": "Adam", "learning_rate": 0.05},
        data_block={"features": {"left": ["a"], "right": ["c"]}},
    )
    trained = train(spec, data, tmp_path / "work")
    assert trained.recorder.epochs("val_loss")[-1] < 0.01
    np.testing.assert_allclose(trained.weights["dense/kernel"].ravel(), [1, 1, -2, 0, 0], atol=0.1)


def test_the_best_epoch_is_kept_and_tested(blobs: Dataset, tmp_path: Path):
    spec = job(blobs, LINEAR, checkpoints={"monitor": "val_loss", "mode": "max", "every_epochs": None},
               data_block={"split": {"validation": 0.2, "test": 0.2}})
    trained = train(spec, blobs, tmp_path)
    assert [checkpoint.best for checkpoint in trained.recorder.checkpoints] == [True, False]
    assert trained.outcome.metrics["best"]["epoch"] == 1
    assert trained.outcome.metrics["test"]["best"]["loss"] > trained.outcome.metrics["test"]["last"]["loss"]


def test_a_stop_while_the_best_weights_are_tested_keeps_the_last_ones(blobs: Dataset, tmp_path: Path):
    spec = job(blobs, MLP, checkpoints={"monitor": "val_loss", "mode": "max"},
               data_block={"split": {"validation": 0.2, "test": 0.2}})
    whole = train(spec, blobs, tmp_path / "whole")
    asked = 0

    def stop_at(number: int) -> str | None:
        nonlocal asked
        asked += 1
        return "pause" if asked == number else None

    for number in range(1, 200):
        asked = 0
        first = train(spec, blobs, tmp_path / f"{number}", should_stop=partial(stop_at, number))
        if first.outcome.stopped is None:
            break
        assert train(spec, blobs, tmp_path / f"{number}-resumed", resume=first.files).bytes == whole.bytes
    assert number > 10


def test_a_metric_with_its_own_name_keeps_its_direction(blobs: Dataset, tmp_path: Path):
    watch = {"type": "EarlyStopping", "monitor": "val_area", "patience": 99, "restore_best_weights": True}
    spec = job(blobs, LINEAR, metrics=[{"type": "SparseCategoricalAccuracy", "name": "area"}], callbacks=[watch],
               checkpoints={"monitor": "val_area"})
    trained = train(spec, blobs, tmp_path)
    areas = trained.recorder.epochs("val_area")
    assert trained.outcome.metrics["best"]["val_area"] == max(areas)


def test_a_loss_that_is_lost_is_told_once(blobs: Dataset, tmp_path: Path):
    spec = job(blobs, MLP, optimizer={"type": "SGD", "learning_rate": 1e30}, epochs=4)
    logs = train(spec, blobs, tmp_path).recorder.logs
    told = [message for level, message in logs if level == "warning" and "the loss of epoch" in message]
    assert len(told) == 1
    assert "TerminateOnNaN" in told[0]


def test_a_new_head_takes_what_fits_and_says_what_does_not(blobs: Dataset, tmp_path: Path):
    first = train(job(blobs, MLP), blobs, tmp_path / "a")
    spec = job(blobs, [*MLP[:-1], {**MLP[-1], "name": "head"}], epochs=1, optimizer={"type": "SGD", "learning_rate": 0})
    started = train(spec, blobs, tmp_path / "b", initial_weights=first.files.weights, matching=True)
    assert np.array_equal(started.weights["dense/kernel"], first.weights["dense/kernel"])
    (warning,) = [message for level, message in started.recorder.logs if level == "warning"]
    assert "training starts from 6 of 8 weights; missing tensors: head/kernel (16, " in warning
    with pytest.raises(WeightsError, match="none of the weights fits"):
        train(job(blobs, [{**LINEAR[0], "name": "other"}]), blobs, tmp_path / "c",
              initial_weights=first.files.weights, matching=True)
