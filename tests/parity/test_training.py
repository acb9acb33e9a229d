"""Training against Keras: losses of the first steps from the same weights and batches, and the weights at their end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.definition import parse_model
from engine.definition.training import Training
from engine.kernels import state as run_state
from engine.lowering.plan import compile_plan
from engine.options import entry, parse
from engine.programs import TARGET, WEIGHT, Pipeline, Program, Stored, train_program
from engine.runtime.session import Session, aligned
from engine.runtime.threads import Workers
from engine.schedules import rates
from tests.parity import cases
from tests.parity.figures import array, figures


def program(case: cases.Case, target: np.ndarray) -> tuple[Program, Training]:
    """The case's training program."""
    layers = [{"name": str(index), **layer} for index, layer in enumerate(case["layers"])]
    model = parse_model({"inputs": {"x": {"shape": list(case["shape"])}}, "layers": layers})
    (output,) = model.outputs
    optimizer, loss = parse(entry("optimizer"), case["optimizer"], ""), parse(entry("loss"), case["loss"], "")
    training = Training(
        epochs=1, batch_size=case["batch"], steps_per_epoch=None, validation_steps=None, optimizer=optimizer,
        losses={output: loss},
        loss_weights={output: 1.0}, metrics={output: ()}, callbacks=(), seed=0, shuffle=False, class_weight=None,
        several_outputs=False)
    pipeline = Pipeline({"x": Stored(tuple(case["shape"]), "float32", None)},
                        target=(target.shape[2:], str(target.dtype)), weighted=case["weighted"])
    return train_program(model, training, pipeline), training


def flat(array: np.ndarray) -> np.ndarray:
    """(steps, batch, …) as rows of a table."""
    rows = aligned((array.shape[0] * array.shape[1], *array.shape[2:]), str(array.dtype))
    rows[...] = array.reshape(rows.shape)
    return rows


def parameters(name: str, trained: Program) -> dict[str, np.ndarray]:
    """The case's initial weights, and slots of zeros."""
    filled = {variable.name: cases.draw_weights(f"{name}/{layer}", last, variable.shape)
              for variable in trained.variables for layer, _, last in [variable.name.partition("/")]}
    filled |= {f"optimizer/{slot}": np.zeros(shape, np.float32) for slot, shape in trained.slots.items()}
    stored = {key: aligned(data.shape, "float32") for key, data in filled.items()}
    for key, data in filled.items():
        stored[key][...] = data
    return stored


def train(name: str, threads: int = 1) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The loss of every step, and the final variables."""
    case = (cases.TRAININGS | cases.LONG)[name]
    inputs, targets = cases.training_data(name)
    trained, training = program(case, targets)
    steps, batch = case["steps"], case["batch"]
    stored = parameters(name, trained)
    workers = Workers(threads)
    try:
        tables = {"x": flat(inputs), TARGET: flat(targets), WEIGHT: flat(cases.training_weights(name))}
        session = Session(compile_plan(trained.graph, batch), stored, tables, workers)
        order = np.arange(steps * batch, dtype=np.int64)
        records = np.zeros((steps, trained.width), np.float32)
        speeds = rates(training.optimizer.learning_rate, np.arange(steps))
        for field, held in ((run_state.ORDER, order), (run_state.RECORDS, records), (run_state.RATES, speeds)):
            session.state[field] = held.ctypes.data
        assert session.run(batch, steps) == steps
    finally:
        workers.close()
    return records[:, 0], {key: stored[key] for key in (variable.name for variable in trained.variables)}


@pytest.mark.parametrize("name", cases.TRAININGS)
def test_losses_and_final_weights(name):
    losses, final = train(name)
    expected: dict[str, Any] = figures("training")[name]
    np.testing.assert_allclose(losses, array(expected["losses"]), rtol=1e-4)
    for variable, figure in expected["final"].items():
        np.testing.assert_allclose(final[variable], array(figure), rtol=2e-4, atol=2e-5, err_msg=variable)


ALLOWED = 3.0
"""So many times as far from the float64 course as the farthest of three float32 courses of Keras's: one order of sums
is not another, and a course that is off by a rounding goes its own way from there."""


@pytest.mark.parametrize("name", cases.LONG)
def test_two_hundred_steps_within_what_rounding_does_to_keras_itself(name):
    losses, _ = train(name, threads=2)
    expected = figures("long")[name]
    exact, noise = array(expected["losses"]), array(expected["noise"])
    assert losses.shape == exact.shape == (200,)
    assert exact[-20:].mean() < 0.95 * exact[:20].mean()  # something was learnt
    allowed = ALLOWED * noise + 1e-6 * exact[0]
    apart = np.abs(losses - exact)
    worst = int((apart / allowed).argmax())
    assert (apart <= allowed).all(), f"step {worst + 1}: {apart[worst]:.3g} apart, Keras itself {noise[worst]:.3g}"


@pytest.mark.parametrize("threads", [2, 4])
@pytest.mark.parametrize("name", ["cnn", "batch_normalization"])
def test_the_number_of_threads_does_not_change_a_bit(name, threads):
    losses, final = train(name)
    other_losses, other_final = train(name, threads)
    assert losses.tobytes() == other_losses.tobytes()
    assert all(final[key].tobytes() == other_final[key].tobytes() for key in final)
