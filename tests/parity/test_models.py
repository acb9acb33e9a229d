"""Whole models as Keras wrote them: shared layers, models in models, masks. Answers and losses of training."""

from __future__ import annotations

import numpy as np
import pytest

from engine.definition import Model, parse_model
from engine.definition.training import Training
from engine.graph.build import forward_graph
from engine.graph.interpret import interpret
from engine.kernels import state as run_state
from engine.lowering.plan import compile_plan
from engine.options import entry, parse
from engine.programs import TARGET, Pipeline, Stored, train_program
from engine.runtime.session import Session, aligned
from engine.runtime.threads import Workers
from tests.engine.definition.documents import keras
from tests.parity import cases
from tests.parity.figures import array, figures
from tests.parity.test_training import flat


def variables(name: str, model: Model) -> dict[str, np.ndarray]:
    """Drawn values, by the engine's names."""
    _, net = forward_graph(model)
    return {variable.name: cases.draw_variable(f"{name}/{variable.name}", variable.name.rpartition("/")[2],
                                               variable.shape) for variable in net.variables}


@pytest.mark.parametrize("name", cases.MODELS)
def test_answers(name):
    model = parse_model(keras(name))
    graph, _ = forward_graph(model)
    inputs, _ = cases.model_data(name)
    found = interpret(graph, {key: value[0] for key, value in inputs.items()}, variables(name, model))
    expected = figures("models")[name]["outputs"]
    assert set(found) == set(expected)
    for key, figure in expected.items():
        np.testing.assert_allclose(found[key], array(figure), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name, case in cases.MODELS.items() if case["target"]])
def test_losses_of_training(name):
    model = parse_model(keras(name))
    (output,), inputs_and_target = model.outputs, cases.model_data(name)
    inputs, targets = inputs_and_target
    optimizer = parse(entry("optimizer"), {"type": "SGD", "learning_rate": cases.MODEL_RATE}, "")
    training = Training(
        epochs=1, batch_size=cases.MODEL_BATCH, steps_per_epoch=None, validation_steps=None, optimizer=optimizer,
        losses={output: parse(entry("loss"), "mse", "")}, loss_weights={output: 1.0}, metrics={output: ()},
        callbacks=(), seed=0, shuffle=False, class_weight=None, several_outputs=False)
    pipeline = Pipeline({key: Stored(value.shape[2:], "float32", None) for key, value in inputs.items()},
                        target=(targets.shape[2:], "float32"))
    trained = train_program(model, training, pipeline)
    stored = {key: aligned(data.shape, "float32") for key, data in variables(name, model).items()}
    for key, data in variables(name, model).items():
        stored[key][...] = data
    tables = {TARGET: flat(targets), **{key: flat(value) for key, value in inputs.items()}}
    workers = Workers(1)
    try:
        session = Session(compile_plan(trained.graph, cases.MODEL_BATCH), stored, tables, workers)
        records = np.zeros((cases.MODEL_STEPS, trained.width), np.float32)
        order = np.arange(cases.MODEL_STEPS * cases.MODEL_BATCH, dtype=np.int64)
        speeds = np.full(cases.MODEL_STEPS, cases.MODEL_RATE, np.float32)
        for field, held in ((run_state.ORDER, order), (run_state.RECORDS, records), (run_state.RATES, speeds)):
            session.state[field] = held.ctypes.data
        assert session.run(cases.MODEL_BATCH, cases.MODEL_STEPS) == cases.MODEL_STEPS
    finally:
        workers.close()
    np.testing.assert_allclose(records[:, 0], array(figures("models")[name]["losses"]), rtol=2e-4)
