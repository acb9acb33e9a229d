"""Schedules, callbacks and initializers against Keras."""

from __future__ import annotations

import numpy as np
import pytest

from engine.options import entry, parse
from engine.schedules import rates
from tests.parity import cases
from tests.parity.figures import FOLDER, array, figures


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_figures_are_small(path):
    assert path.stat().st_size < 300_000


@pytest.mark.parametrize("name", cases.SCHEDULES)
def test_schedule(name):
    schedule = parse(entry("schedule"), cases.SCHEDULES[name], "")
    received = rates(schedule, np.array(cases.SCHEDULE_STEPS, np.int64))
    # Keras rounds to float32 after every operation; its cosine near the end of the curve loses most digits by that.
    np.testing.assert_allclose(received, array(figures("schedules")[name]["rates"]), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("course", cases.COURSES)
@pytest.mark.parametrize("name", cases.CALLBACKS)
def test_callback(name, course):
    state = parse(entry("callback"), cases.CALLBACKS[name], "").start()
    rate, seen, remembered, stopped = float(np.float32(0.1)), [], None, False
    for epoch, value in enumerate(cases.COURSES[course], 1):
        action = state.on_epoch_end(epoch, {"loss": 1.0, "val_loss": value, "learning_rate": rate})
        rate = rate if action.learning_rate is None else action.learning_rate
        remembered = epoch if action.remember_weights else remembered
        seen.append(rate)
        if action.stop:
            stopped = True
            break
    restored = remembered if state.on_train_end().restore_weights else None
    expected = figures("callbacks")[name][course]
    assert (len(seen), stopped, restored) == (expected["epochs"], expected["stopped"], expected["restored"])
    np.testing.assert_allclose(seen, array(expected["rates"]), rtol=1e-7)


@pytest.mark.parametrize(("name", "shape"), [
    (name, shape) for name in cases.INITIALIZERS for shape in cases.OWN_SHAPES.get(name, cases.INITIALIZER_SHAPES)
    if "x".join(map(str, shape)) in figures("initializers")[name]])
def test_initializer_moments(name, shape):
    expected = figures("initializers")[name]["x".join(map(str, shape))]
    options = {"type": name, **cases.OWN_OPTIONS.get(name, {})}
    values = parse(entry("initializer"), options, "")(shape, 1).astype(np.float64)
    error = 5 * max(expected["std"], 1e-12) / values.size**0.5
    assert values.mean() == pytest.approx(expected["mean"], abs=error)
    assert values.std() == pytest.approx(expected["std"], rel=0.02)
    assert (values**4).mean() == pytest.approx(expected["fourth"], rel=0.05)
    # A normal distribution has no bound: its largest value varies from draw to draw.
    bounded = name not in ("RandomNormal", "Orthogonal")
    assert np.abs(values).max() == pytest.approx(expected["maximum"], rel=0.01 if bounded else 0.3)
