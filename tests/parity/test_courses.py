"""Thirty steps of SGD beside Keras: the loss of each, for a model of every kind of layer, read as Keras wrote it."""

from __future__ import annotations

import numpy as np
import pytest

from engine.definition import parse_model
from engine.definition.training import Training
from engine.kernels import state as run_state
from engine.lowering.plan import compile_plan
from engine.options import entry, parse
from engine.programs import TARGET, Pipeline, Program, Stored, train_program
from engine.runtime.session import Session, aligned
from engine.runtime.threads import Workers
from tests.parity import cases, courses
from tests.parity.figures import figures
from tests.parity.test_training import flat

ALLOWED = 1e-3


def parameters(name: str, trained: Program) -> dict[str, np.ndarray]:
    """The weights that Keras began with."""
    layers: dict[str, list[str]] = {}
    shapes = {variable.name: variable.shape for variable in trained.variables}
    for variable in trained.variables:
        layers.setdefault(variable.layer, []).append(variable.name)
    stored = {}
    for layer, paths in layers.items():
        held = sorted(paths, key=courses.behind)
        drawn = courses.weights(name, layer, [path.rpartition("/")[2] for path in held],
                                [shapes[path] for path in held], cases)
        for path, value in zip(held, drawn, strict=True):
            stored[path] = aligned(value.shape, "float32")
            stored[path][...] = value
    return stored


def course(name: str) -> np.ndarray:
    """The losses of our steps."""
    model = parse_model(figures("courses")[name]["model"])
    target = model.output_shape(next(iter(model.outputs)))
    fed, targets = courses.data(name, dict(model.inputs), target, courses.TOKENS.get(name), cases)
    judged = dict(zip(model.outputs, courses.LOSSES.get(name, [("mean_squared_error", 1.0)]), strict=True))
    training = Training(
        epochs=1, batch_size=courses.BATCH, steps_per_epoch=None, validation_steps=None,
        optimizer=parse(entry("optimizer"), {"type": "SGD", "learning_rate": courses.RATE}, ""),
        losses={output: parse(entry("loss"), loss, "") for output, (loss, _) in judged.items()},
        loss_weights={output: weight for output, (_, weight) in judged.items()}, metrics={}, callbacks=(), seed=0,
        shuffle=False, class_weight=None, several_outputs=len(judged) > 1)
    pipeline = Pipeline({key: Stored(value.shape[2:], "float32", None) for key, value in fed.items()},
                        target=(target, "float32"))
    trained = train_program(model, training, pipeline)
    tables = {TARGET: flat(targets), **{key: flat(value) for key, value in fed.items()}}
    workers = Workers(1)
    try:
        session = Session(compile_plan(trained.graph, courses.BATCH), parameters(name, trained), tables, workers)
        records = np.zeros((courses.STEPS, trained.width), np.float32)
        order = np.arange(courses.STEPS * courses.BATCH, dtype=np.int64)
        speeds = np.full(courses.STEPS, courses.RATE, np.float32)
        for field, held in ((run_state.ORDER, order), (run_state.RECORDS, records), (run_state.RATES, speeds)):
            session.state[field] = held.ctypes.data
        assert session.run(courses.BATCH, courses.STEPS) == courses.STEPS
    finally:
        workers.close()
    return records[:, 0]


def deviation(name: str) -> float:
    """The largest difference of a loss, as a part of Keras's."""
    expected = np.array(figures("courses")[name]["losses"])
    return float(np.abs(course(name) / expected - 1).max())


@pytest.mark.parametrize("name", courses.models())
def test_losses_of_thirty_steps(name: str) -> None:
    assert deviation(name) <= ALLOWED


if __name__ == "__main__":
    print("| model | largest deviation of a loss |\n| --- | --- |")
    for known in courses.models():
        print(f"| {known} | {deviation(known):.1e} |")
