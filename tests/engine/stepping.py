"""One training step of a whole program: by the ops' references, and by its compiled plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.definition import parse_model
from engine.definition.training import Training
from engine.graph.interpret import closed
from engine.graph.ir import Node, Value
from engine.kernels import state as run_state
from engine.lowering.plan import compile_plan
from engine.ops.optimize import updated
from engine.options import entry, parse
from engine.programs import Pipeline, Program, train_program
from engine.runtime.session import Session, aligned
from engine.runtime.threads import Workers

Arrays = dict[str, np.ndarray]
RATE = 0.05


@dataclass
class Stepped:
    """What a step leaves behind: its record, the gradients of trainable variables, and the weight store."""

    record: np.ndarray
    gradients: Arrays
    parameters: Arrays


def program(layers: Sequence[Mapping[str, Any]], shapes: Mapping[str, tuple[int, ...]], optimizer: Mapping[str, Any],
            loss: Mapping[str, Any], pipeline: Pipeline, *, outputs: list[str] | None = None,
            metrics: Sequence[Mapping[str, Any]] = ()) -> Program:
    """The training program of a model; every output has the same loss and metrics."""
    document: dict[str, Any] = {"inputs": {name: {"shape": list(shape)} for name, shape in shapes.items()},
                                "layers": list(layers), **({"outputs": outputs} if outputs else {})}
    model = parse_model(document)
    judged = tuple(parse(entry("metric"), metric, "") for metric in metrics)
    training = Training(
        epochs=1, batch_size=32, steps_per_epoch=None, validation_steps=None,
        optimizer=parse(entry("optimizer"), optimizer, ""),
        losses={output: parse(entry("loss"), loss, "") for output in model.outputs},
        loss_weights={output: 1.0 + index for index, output in enumerate(model.outputs)},
        metrics=dict.fromkeys(model.outputs, judged), callbacks=(), seed=0, shuffle=False, class_weight=None,
        several_outputs=len(model.outputs) > 1)
    return train_program(model, training, pipeline)


def initial(made: Program, seed: int = 0) -> Arrays:
    """Weights of the size that layers have; slots and statistics as in the middle of a training."""
    random = np.random.default_rng(seed)
    found: Arrays = {}
    for variable in made.variables:
        scale = 1 / np.sqrt(max(1, int(np.prod(variable.shape[:-1]))))
        drawn = random.standard_normal(variable.shape) * scale
        positive = variable.name.endswith(("variance", "gamma"))
        found[variable.name] = (np.abs(drawn) + 0.5 if positive else drawn).astype("float32")
    for name, shape in made.slots.items():
        drawn = 0.1 * random.standard_normal(shape)
        found[f"optimizer/{name}"] = (np.abs(drawn) + 1 if "velocity" in name else drawn).astype("float32")
    return found


def by_reference(made: Program, tables: Mapping[str, np.ndarray], rows: np.ndarray, parameters: Arrays, *,
                 step: int, seed: int, dtype: str = "float64") -> Stepped:
    """Node by node in this precision; the gathered examples are `rows` of the tables."""
    store = {name: array.astype(dtype) for name, array in parameters.items()}
    values: dict[Value, np.ndarray] = {value: store[value.name] for value in made.graph.parameters}
    record = np.full(made.width, np.nan)
    gradients: Arrays = {}

    def read(value: Value) -> np.ndarray:
        if value.role == "constant":
            assert value.data is not None
            return value.data.astype(dtype) if value.data.dtype.kind == "f" else value.data
        return tables[value.name] if value.role == "table" else values[value]

    for node in made.graph.nodes:
        arrays = [read(value) for value in node.inputs if value.role != "state"]
        if node.op.name == "record":
            record[node.attrs["offset"]: node.attrs["offset"] + arrays[0].size] = arrays[0].ravel()
        elif node.op.name == "update":
            gradients = {name: arrays[index].copy() for name, index in _gradients(node).items()}
            attrs = dict(node.attrs)
            rule, group = attrs.pop("rule"), 2 + attrs.pop("slots")
            for start in range(0, len(arrays), group):
                weights, _, *slots = arrays[start: start + group]
                after = updated(rule, float(np.float32(RATE)), step + 1, arrays[start: start + group], **attrs)
                for array, new in zip((weights, *slots), after, strict=True):
                    array[...] = new
        else:
            more: dict[str, Any] = {"state": (seed, step)} if node.op.name == "dropout" else {}
            given = [*arrays, rows] if node.op.name == "gather" else arrays
            results = node.op.reference(*given, **closed(node.attrs, len(rows)), **more)
            for output, result in zip(node.outputs, results, strict=True):
                values[output] = result.astype(dtype) if output.dtype == "float32" else result
    return Stepped(record, gradients, store)


def _gradients(node: Node) -> dict[str, int]:
    """The positions of the gradients among an optimizer node's inputs, by the weights' names."""
    group = 2 + node.attrs["slots"]
    return {node.inputs[start].name: start + 1 for start in range(0, len(node.inputs) - 1, group)}


def by_plan(made: Program, tables: Mapping[str, np.ndarray], rows: np.ndarray, parameters: Arrays, *, step: int,
            seed: int, threads: int = 1, batch: int | None = None, fetch: bool = False) -> Stepped:
    """By the compiled plan, made for `batch` examples. With `fetch`, the gradients are outputs of the plan too."""
    graph = made.graph
    update = next(node for node in graph.nodes if node.op.name == "update")
    wanted = {name: update.inputs[index] for name, index in _gradients(update).items()} if fetch else {}
    plan = compile_plan(replace(graph, outputs={**graph.outputs, **wanted}), batch or len(rows))
    store = {name: aligned(array.shape, "float32") for name, array in parameters.items()}
    for name, array in parameters.items():
        store[name][...] = array
    records, rates = np.full((1, made.width), np.nan, np.float32), np.array([RATE], np.float32)
    order = np.ascontiguousarray(rows, np.int64)
    workers = Workers(threads)
    try:
        session = Session(plan, store, tables, workers, seed=seed)
        session.state[run_state.STEP] = step
        held = ((run_state.ORDER, order), (run_state.RECORDS, records), (run_state.RATES, rates))
        for field, array in held:
            session.state[field] = array.ctypes.data
        session.run(len(rows))
        gradients = {name: session.fetch(name, len(rows)) for name in wanted}
    finally:
        workers.close()
    return Stepped(records[0], gradients, store)
