"""Callbacks as scenarios: a course of values in, the epoch of each action out; as Keras 3.15 would act."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import registry
from engine.callbacks import Action, Callback, State
from engine.callbacks.monitor import direction, improves
from engine.errors import DefinitionError
from engine.options import entry, parse

NAN = float("nan")


def read(document) -> Callback:
    return parse(entry("callback"), document, "/callbacks/0")


class Training:
    """A fit loop in small: feeds a course, does what is asked, and records it."""

    def __init__(self, callback: Callback, monitor: str, learning_rate: float = 0.1) -> None:
        self.callback = callback
        self.monitor = monitor
        self.state: State = callback.start()
        self.learning_rate = learning_rate
        self.remembered: int | None = None
        self.actions: list[Action] = []

    def epochs(self, course, first: int = 1) -> Training:
        for epoch, value in enumerate(course, first):
            watched = {} if value is None else {self.monitor: value}
            logs = {"loss": 1.0, "learning_rate": self.learning_rate, **watched}
            action = self.state.on_epoch_end(epoch, logs)
            self.actions.append(action)
            self.learning_rate = self.learning_rate if action.learning_rate is None else action.learning_rate
            self.remembered = epoch if action.remember_weights else self.remembered
            if action.stop:
                break
        return self

    @property
    def stopped(self) -> int | None:
        return len(self.actions) if self.actions and self.actions[-1].stop else None

    def rebuilt(self) -> Training:
        """The same training in a new process."""
        other = Training(self.callback, self.monitor, self.learning_rate)
        other.state.restore(json.loads(json.dumps(self.state.snapshot())))
        other.remembered, other.actions = self.remembered, list(self.actions)
        return other


def stopping(**options) -> Training:
    return Training(read({"type": "EarlyStopping", **options}), options.get("monitor", "val_loss"))


@pytest.mark.parametrize(("options", "course", "stopped"), [
    ({}, [3, 2, 1], None),
    ({}, [3, 2, 2, 1], 3),
    ({}, [1, 1], 2),
    ({"patience": 2}, [3, 2, 2, 2, 1], 4),
    ({"patience": 2}, [3, 4, 2.5, 4, 4], 5),
    ({"min_delta": 0.5}, [3, 2.4, 2.0, 1], 3),
    ({"min_delta": 0.5}, [3, 2.6, 2.6], 2),
    ({"mode": "max"}, [1, 2, 3, 3], 4),
    ({"monitor": "val_accuracy"}, [0.1, 0.2, 0.2], 3),
    ({"monitor": "val_accuracy", "mode": "min"}, [0.1, 0.2], 2),
    ({"baseline": 1.0, "patience": 2}, [3, 2, 1.5, 1.4], None),
    ({"baseline": 1.0, "patience": 2}, [3, 2, 2.5], 3),
    ({"baseline": 1.0, "patience": 2}, [0.9, 2, 2], 3),
    ({"start_from_epoch": 3}, [1, 2, 3, 4, 4], 5),
    ({"patience": 1}, [NAN, NAN], 2),
    ({"patience": 3}, [NAN, 2, 1, 1, 1, 1], 6),
    ({"patience": 1}, [math.inf, 5, 6], 3),
])
def test_early_stopping_stops_when_keras_does(options, course, stopped):
    training = stopping(**options).epochs(course)
    assert training.stopped == stopped
    assert (training.actions[-1].message is not None) is (stopped is not None)


@pytest.mark.parametrize(("options", "course", "remembered"), [
    ({}, [3, 2, 1], 3),  # training ends normally: the weights come back all the same
    ({"patience": 2}, [3, 2, 2.5, 2.2], 2),
    ({"start_from_epoch": 2}, [1, 1, 3, 2], 4),
    ({"baseline": 0.5, "patience": 3}, [3, 2, 4], 2),
    ({"patience": 5}, [NAN, NAN], 1),
    ({"patience": 5}, [NAN, 3, 4], 2),
])
def test_the_best_weights_are_remembered_and_restored(options, course, remembered):
    training = stopping(restore_best_weights=True, **options).epochs(course)
    assert training.remembered == remembered
    end = training.state.on_train_end()
    assert end.restore_weights and f"epoch {remembered}" in (end.message or "")


def test_nothing_is_restored_that_was_not_asked_for_or_never_looked_at():
    assert stopping().epochs([3, 2, 1]).state.on_train_end() == Action()
    assert stopping(restore_best_weights=True, start_from_epoch=9).epochs([3, 2]).state.on_train_end() == Action()


def plateau(**options) -> Training:
    return Training(read({"type": "ReduceLROnPlateau", "patience": 2, **options}), "val_loss")


@pytest.mark.parametrize(("options", "course", "rates"), [
    ({}, [3, 2, 2, 2, 2, 2], [0.1, 0.1, 0.1, 0.01, 0.01, 0.001]),
    ({"factor": 0.5, "cooldown": 2}, [2, 2, 2, 2, 2, 2, 2], [0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025]),
    ({"factor": 0.5, "min_lr": 0.04}, [2] * 9, [0.1, 0.1, 0.05, 0.05, 0.04, 0.04, 0.04, 0.04, 0.04]),
    ({"min_delta": 0.5}, [3, 2.8, 2.7, 2.7], [0.1, 0.1, 0.01, 0.01]),
    ({}, [3, NAN, NAN, 1], [0.1, 0.1, 0.01, 0.01]),
    ({"patience": 0}, [3, 3], [0.1, 0.01]),
])
def test_a_plateau_lowers_the_rate_when_keras_does(options, course, rates):
    training = plateau(**options)
    seen = []
    for epoch, value in enumerate(course, 1):
        training.epochs([value], epoch)
        seen.append(training.learning_rate)
    assert seen == pytest.approx(rates, rel=1e-6)


def test_the_rate_is_computed_in_the_optimizers_float32():
    training = plateau(patience=1, factor=0.3).epochs([1] * 20)
    expected = np.float32(0.1)
    for _ in range(19):
        expected = np.float32(float(expected) * 0.3)
    assert training.learning_rate == float(expected)


@pytest.mark.parametrize("options", [
    {"type": "EarlyStopping", "patience": 3, "restore_best_weights": True, "min_delta": 0.1, "start_from_epoch": 1},
    {"type": "EarlyStopping", "patience": 2, "baseline": 0.4, "mode": "max"},
    {"type": "ReduceLROnPlateau", "patience": 1, "cooldown": 2, "factor": 0.7, "min_lr": 0.001},
    {"type": "ReduceLROnPlateau", "patience": 2, "min_delta": 0.0},
    {"type": "TerminateOnNaN"},
])
@given(course=st.lists(st.one_of(st.floats(0, 1), st.just(NAN), st.just(math.inf), st.none()), max_size=12),
       data=st.data())
def test_a_restored_state_goes_on_as_if_uninterrupted(options, course, data):
    callback = read(options)
    whole = Training(callback, "val_loss").epochs(course)
    cut = data.draw(st.integers(0, len(course)))
    parts = Training(callback, "val_loss").epochs(course[:cut])
    if parts.stopped is None:
        parts = parts.rebuilt().epochs(course[cut:], cut + 1)
    assert parts.actions == whole.actions
    assert (parts.learning_rate, parts.remembered) == (whole.learning_rate, whole.remembered)
    # NaN is not equal to itself, its text is.
    assert json.dumps(parts.state.snapshot()) == json.dumps(whole.state.snapshot())
    assert parts.state.on_train_end() == whole.state.on_train_end()


def test_a_missing_value_is_a_warning_said_once():
    training = stopping(monitor="val_auc").epochs([None, None])
    assert training.actions[0].level == "warning" and "val_auc" in (training.actions[0].message or "")
    assert training.actions[1] == Action()
    assert training.rebuilt().epochs([None], 3).actions[2] == Action()


def test_terminate_on_nan_names_the_step():
    state = read("TerminateOnNaN").start()
    assert state.on_steps(11, np.array([1, 2, 3], np.float32)) == Action()
    assert state.on_epoch_end(1, {"loss": 2.0}) == Action()
    action = state.on_steps(11, np.array([1, np.inf, np.nan], np.float32))
    assert action.stop and action.not_finite and action.level == "error" and "step 12 is inf" in (action.message or "")
    assert state.on_epoch_end(2, {"loss": NAN}).not_finite


@pytest.mark.parametrize(("monitor", "expected"), [
    ("loss", "min"), ("val_loss", "min"), ("mean_absolute_error", "min"), ("root_mean_squared_error", "min"),
    ("accuracy", "max"), ("val_sparse_top_k_categorical_accuracy", "max"), ("auc", "max"), ("val_precision", "max"),
    ("recall", "max"), ("accuracy_loss", "min"), ("learning_rate", "min"),
])
def test_which_way_is_better(monitor, expected):
    assert direction(monitor) == expected


def test_a_metrics_own_direction_is_asked_first():
    assert direction("val_area", {"area": "max"}) == "max"
    state = read({"type": "EarlyStopping", "monitor": "val_area"}).start({"area": "max"})
    assert not state.on_epoch_end(1, {"val_area": 0.1}).stop
    assert not state.on_epoch_end(2, {"val_area": 0.2}).stop


def test_nan_is_never_an_improvement():
    assert not improves(NAN, None, "min") and not improves(NAN, 1.0, "max") and improves(1.0, None, "max")


@pytest.mark.parametrize(("document", "pointer"), [
    ({"type": "EarlyStoping"}, "/callbacks/0/type"),
    ({"type": "EarlyStopping", "patience": -1}, "/callbacks/0/patience"),
    ({"type": "EarlyStopping", "patience": True}, "/callbacks/0/patience"),
    ({"type": "EarlyStopping", "mode": "best"}, "/callbacks/0/mode"),
    ({"type": "EarlyStopping", "restore_best_weights": 1}, "/callbacks/0/restore_best_weights"),
    ({"type": "ReduceLROnPlateau", "factor": 1.0}, "/callbacks/0/factor"),
    ({"type": "ReduceLROnPlateau", "min_lr": NAN}, "/callbacks/0/min_lr"),
    ({"type": "TerminateOnNaN", "monitor": "loss"}, "/callbacks/0/monitor"),
])
def test_faults_point_at_their_place(document, pointer):
    with pytest.raises(DefinitionError) as caught:
        read(document)
    assert [fault.pointer for fault in caught.value.faults] == [pointer]


LOGS = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")


@pytest.mark.parametrize(("document", "scheduled", "pointers"), [
    ({"type": "EarlyStopping"}, False, []),
    ({"type": "EarlyStopping"}, True, []),
    ({"type": "EarlyStopping", "monitor": "val_acc"}, False, ["/callbacks/0/monitor"]),
    ({"type": "ReduceLROnPlateau"}, True, ["/callbacks/0"]),
    ({"type": "ReduceLROnPlateau", "monitor": "x"}, True, ["/callbacks/0", "/callbacks/0/monitor"]),
    ({"type": "TerminateOnNaN"}, True, []),
])
def test_what_cannot_work_in_a_training_is_said_at_validation(document, scheduled, pointers):
    faults = read(document).faults(LOGS, scheduled=scheduled, pointer="/callbacks/0")
    assert [fault.pointer for fault in faults] == pointers
    assert all("expected" in fault.detail and "received" in fault.detail for fault in faults)


@pytest.mark.parametrize("name", registry.entries("callback"))
def test_every_callback_can_be_stored_from_its_first_moment(name):
    state: Any = read(name).start()
    stored = json.loads(json.dumps(state.snapshot(), allow_nan=False))
    state.restore(stored)
    assert state.snapshot() == stored and isinstance(state, State)
