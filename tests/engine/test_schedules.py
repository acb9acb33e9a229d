from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DefinitionError
from engine.options import parse
from engine.schedules import Schedule, learning_rate, rates


def read(document):
    return parse(learning_rate, document, "/learning_rate")


def at(document, *steps):
    values = rates(read(document), np.array(steps, np.int64))
    assert values.dtype == np.float32
    return values.tolist()


EXPONENTIAL = {"type": "ExponentialDecay", "initial_learning_rate": 0.1, "decay_steps": 100, "decay_rate": 0.5}
COSINE = {"type": "CosineDecay", "initial_learning_rate": 0.1, "decay_steps": 100}
WARM = {"type": "CosineDecay", "initial_learning_rate": 0.02, "decay_steps": 100, "warmup_target": 0.1,
        "warmup_steps": 10, "alpha": 0.1}
PIECES = {"type": "PiecewiseConstantDecay", "boundaries": [10, 20], "values": [1.0, 0.5, 0.1]}


# Computed by hand from Keras's formulas.
@pytest.mark.parametrize(("document", "points"), [
    (0.01, {0: 0.01, 10**9: 0.01}),
    ({"type": "Constant", "learning_rate": 0.3}, {0: 0.3, 12345: 0.3}),
    (EXPONENTIAL, {0: 0.1, 50: 0.0707106781, 100: 0.05, 200: 0.025, 250: 0.0176776695}),
    ({**EXPONENTIAL, "staircase": True}, {0: 0.1, 99: 0.1, 100: 0.05, 199: 0.05, 200: 0.025}),
    (COSINE, {0: 0.1, 25: 0.0853553391, 50: 0.05, 75: 0.0146446609, 100: 0.0, 101: 0.0, 10**9: 0.0}),
    ({**COSINE, "alpha": 0.2}, {0: 0.1, 50: 0.06, 100: 0.02, 500: 0.02}),
    (WARM, {0: 0.02, 5: 0.06, 9: 0.092, 10: 0.1, 60: 0.055, 110: 0.01, 111: 0.01}),
    ({**COSINE, "warmup_target": 0.4}, {0: 0.4, 50: 0.2, 100: 0.0}),
    (PIECES, {0: 1.0, 10: 1.0, 11: 0.5, 20: 0.5, 21: 0.1, 10**9: 0.1}),
])
def test_values_computed_by_hand(document, points):
    assert at(document, *points) == pytest.approx(list(points.values()), rel=1e-6, abs=1e-9)


@given(st.integers(0, 2**40), st.integers(1, 10_000), st.floats(1e-3, 1.0), st.floats(1e-6, 1.0))
def test_exponential_decay_is_its_formula(step, decay_steps, decay_rate, initial):
    document = {"type": "ExponentialDecay", "initial_learning_rate": initial, "decay_steps": decay_steps,
                "decay_rate": decay_rate}
    expected = initial * math.exp(math.log(decay_rate) * step / decay_steps)
    assert at(document, step)[0] == pytest.approx(expected, rel=1e-5, abs=1e-40)


@given(st.integers(0, 3000), st.integers(1, 1000), st.integers(0, 1000), st.floats(0, 1), st.floats(0, 1),
       st.floats(0, 1))
def test_cosine_decay_is_its_formula(step, decay_steps, warmup_steps, initial, target, alpha):
    document = {"type": "CosineDecay", "initial_learning_rate": initial, "decay_steps": decay_steps, "alpha": alpha,
                "warmup_target": target, "warmup_steps": warmup_steps}
    if step < warmup_steps:
        expected = initial + (target - initial) * step / warmup_steps
    else:
        wave = 0.5 * (1 + math.cos(math.pi * min(step - warmup_steps, decay_steps) / decay_steps))
        expected = target * ((1 - alpha) * wave + alpha)
    assert at(document, step)[0] == pytest.approx(expected, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("document", [EXPONENTIAL, COSINE, WARM, PIECES])
def test_a_schedule_is_a_pure_function_of_the_step(document):
    schedule = read(document)
    steps = np.arange(300)
    together = schedule(steps)
    assert together.tobytes() == np.concatenate([schedule(part) for part in np.split(steps, [7, 100, 101])]).tobytes()


def test_a_growing_rate_never_becomes_infinite():
    assert np.isfinite(at({**EXPONENTIAL, "decay_rate": 1e30}, 10**6)).all()


def test_keras_own_json():
    schedule = read({"module": "keras.optimizers.schedules", "class_name": "ExponentialDecay", "registered_name": None,
                     "config": {"initial_learning_rate": 0.1, "decay_steps": 100, "decay_rate": 0.5, "staircase": False,
                                "name": "ExponentialDecay"}})
    assert schedule == read(EXPONENTIAL) and isinstance(schedule, Schedule)


@pytest.mark.parametrize(("document", "pointer"), [
    *((value, "/learning_rate") for value in (float("nan"), float("inf"), -0.1, True, None, [0.1], 1e39, 10**400)),
    ("Exponential", "/learning_rate"),
    ({**EXPONENTIAL, "decay_steps": 0}, "/learning_rate/decay_steps"),
    ({**EXPONENTIAL, "decay_rate": 0}, "/learning_rate/decay_rate"),
    ({**EXPONENTIAL, "initial_learning_rate": "big"}, "/learning_rate/initial_learning_rate"),
    ({**EXPONENTIAL, "decay": 1}, "/learning_rate/decay"),
    ({**COSINE, "warmup_steps": 5}, "/learning_rate/warmup_target"),
    ({**PIECES, "values": [1.0, 0.5]}, "/learning_rate/values"),
    ({**PIECES, "boundaries": [20, 10]}, "/learning_rate/boundaries/1"),
    ({**PIECES, "boundaries": [10, 10]}, "/learning_rate/boundaries/1"),
    ({"type": "CosineDecay", "decay_steps": 5}, "/learning_rate/initial_learning_rate"),
])
def test_faults_point_at_their_place(document, pointer):
    with pytest.raises(DefinitionError) as caught:
        read(document)
    assert [fault.pointer for fault in caught.value.faults] == [pointer]
