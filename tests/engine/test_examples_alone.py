"""An example's prediction is the same to the bit, whatever examples are computed with it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import engine
from engine.definition import parse_model
from engine.lowering.plan import compile_plan
from engine.programs import Pipeline, Stored, predict_program
from engine.runtime.session import Session
from engine.runtime.threads import Workers
from engine.variables import initial_weights
from tests.engine.training import dataset, job, train

SHAPE = (27, 25, 3)
LAYERS: list[dict[str, Any]] = [
    {"type": "Conv2D", "filters": 18, "kernel_size": 3, "activation": "relu", "name": "first"},
    {"type": "BatchNormalization"},
    {"type": "DepthwiseConv2D", "kernel_size": 3, "padding": "same", "activation": "silu", "name": "deep"},
    {"type": "AveragePooling2D", "pool_size": 3, "strides": 1, "padding": "same", "name": "pooled"},
    {"type": "Conv2D", "filters": 7, "kernel_size": 3, "strides": 2, "inputs": ["pooled"], "name": "strided"},
    {"type": "GlobalMaxPooling2D", "inputs": ["strided"], "name": "largest"},
    {"type": "GlobalAveragePooling2D", "inputs": ["pooled"], "name": "mean"},
    {"type": "Flatten", "inputs": ["strided"], "name": "flat"},
    {"type": "Concatenate", "inputs": ["largest", "mean", "flat"]},
    {"type": "Dense", "units": 33, "activation": "gelu"}, {"type": "Dense", "units": 11, "activation": "softmax"},
]


def test_alone_and_among_others():
    model = parse_model({"inputs": {"x": {"shape": list(SHAPE)}}, "layers": LAYERS})
    program = predict_program(model, Pipeline({"x": Stored(SHAPE, "float32", None)}))
    weights = initial_weights(program.variables, 1)
    (output,) = model.outputs
    x = np.random.default_rng(0).standard_normal((37, *SHAPE)).astype("float32")

    def predict(session: Session, rows: np.ndarray) -> np.ndarray:
        session.feeds["x"][: len(rows)] = rows
        session.run(len(rows))
        return session.fetch(output, len(rows))

    workers = Workers(2)
    session = Session(compile_plan(program.graph, 64), weights, {}, workers)
    small = Session(compile_plan(program.graph, 1), weights, {}, workers)
    together = predict(session, x)
    for size in (1, 5, 36):
        parts = [predict(session, x[start: start + size]) for start in range(0, 37, size)]
        assert np.concatenate(parts).tobytes() == together.tobytes(), f"{size} at a time"
    assert np.concatenate([predict(small, row[None]) for row in x]).tobytes() == together.tobytes()
    workers.close()


def test_several_threads_may_ask_one_model(tmp_path: Path):
    x = np.random.default_rng(0).standard_normal((90, 8)).astype("float32")
    data = dataset(tmp_path, x=x, label=np.arange(90) % 3)
    layers: list[dict[str, Any]] = [{"type": "Dense", "units": 64, "activation": "tanh"}, {"type": "Dense", "units": 3}]
    model = engine.load(train(job(data, layers, epochs=1), data, tmp_path / "work").files.weights, threads=2)
    parts = [x[start: start + 1 + start % 7] for start in range(80)]
    alone = [model.predict(part) for part in parts]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(model.predict, parts))
    for one, other in zip(alone, together, strict=True):
        assert one.tobytes() == other.tobytes()
    model.close()
