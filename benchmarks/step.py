"""The engine's training step of a workload, as the service trains it: program, plan, weights, session."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.problem import Problem, batches
from benchmarks.workloads import BATCHES, BETA_1, BETA_2, EPSILON, LEARNING_RATE, Workload
from engine import registry
from engine.definition import parse_model
from engine.definition.model import Model
from engine.definition.training import Training
from engine.losses.crossentropy import SparseCategoricalCrossentropy
from engine.optimizers.adam import Adam
from engine.passes.dead import eliminate_dead
from engine.programs import TARGET, Pipeline, Program, Stored, train_program
from engine.runner import Runner
from engine.runtime.session import aligned
from engine.runtime.threads import Workers
from engine.variables import empty_slots, initial_weights

CONTRACTIONS = ("matmul", "batch_matmul", "conv2d", "depthwise_conv2d", "recurrent")
"""Ops, and beginnings of their derivatives' names, whose arithmetic counts."""
ROUNDS = 256
"""Times that an epoch goes through the batches: a real data set is not through after eight of them."""


def training(model: Model, batch: int) -> Training:
    """Adam on sparse categorical cross-entropy of logits, no metrics."""
    (output,) = model.outputs
    adam = Adam(learning_rate=LEARNING_RATE, beta_1=BETA_1, beta_2=BETA_2, epsilon=EPSILON)
    return Training(
        epochs=1, batch_size=batch, steps_per_epoch=None, validation_steps=None, optimizer=adam,
        losses={output: SparseCategoricalCrossentropy(from_logits=True)}, loss_weights={}, metrics={}, callbacks=(),
        seed=0, shuffle=False, class_weight=None, several_outputs=False,
    )


def program(workload: Workload) -> tuple[Model, Program]:
    """The model and its training program."""
    model = parse_model(workload.definition)
    dtype = "int32" if workload.vocabulary else "float32"
    pipeline = Pipeline({"x": Stored(workload.shape, dtype, None)})
    return model, train_program(model, training(model, workload.batch), pipeline)


def missing(workload: Workload) -> list[str]:
    """The types of its layers that the engine does not have yet."""
    return [type for type in workload.layer_types if registry.lookup("layer", type) is None]


def direct_flops(trained: Program, batch: int) -> int:
    """Floating-point operations of a step's contractions, forward and backward, done directly: no transform saves any,
    no padding adds any. What needs no gradient (the first layer's input) has none.
    """
    counted = [node for node in eliminate_dead(trained.graph).nodes if node.op.name.startswith(CONTRACTIONS)]
    return batch * sum(node.op.flops(node) for node in counted)


def make_problem(workload: Workload) -> Problem:
    """The problem that all processes get: weights as the engine initializes them."""
    model, trained = program(workload)
    weights: dict[str, dict[str, Any]] = {node.name: {} for node in model.layers}
    for path, data in initial_weights(trained.variables, seed=0).items():
        layer, _, name = path.partition("/")
        weights[layer][name] = data
    shapes = {node.name: tuple(int(dim) for dim in model.types[node.name].shape[1:]) for node in model.layers}  # type: ignore[arg-type]
    inputs = {node.name: list(node.inputs) for node in model.layers}
    x, y = batches(workload)
    return Problem(workload, shapes, inputs, weights, x, y)


class Step:
    """Trains on the problem's batches in turn, in native calls as `fit` makes them."""

    granularity = 1

    def __init__(self, problem: Problem, threads: int) -> None:
        workload = problem.workload
        _, self.program = program(workload)
        parameters: Mapping[str, Any] = _store(problem, self.program)
        self.workers = Workers(threads)
        tables = {"x": problem.x.reshape(-1, *workload.shape), TARGET: problem.y.reshape(-1)}
        self.runner = Runner(self.program, workload.batch, parameters, tables, self.workers)
        self._rows = np.tile(np.arange(BATCHES * workload.batch), ROUNDS)
        self._step = 0
        self.runner.begin(self._rows)

    @cached_property
    def flops(self) -> dict[str, int]:
        """Of the step's contractions: done directly, and as the compute kernels do them."""
        return {"direct": direct_flops(self.program, self.runner.batch),
                "executed": sum(call.flops for call in self.runner.session.bind(self.runner.batch))}

    def losses(self, steps: int) -> list[float]:
        """Of the next steps."""
        found: list[float] = []
        while len(found) < steps:
            found += self._advance(steps - len(found))
        return found

    def run(self, steps: int) -> None:
        """Train on."""
        last = self._step + steps
        while self._step < last:
            self._advance(last - self._step)

    def _advance(self, most: int) -> list[float]:
        if self.runner.done == self.runner.batches:
            self.runner.begin(self._rows)
        records, _ = self.runner.advance(most, step=self._step, rates=_rates)
        self._step += len(records)
        return [float(loss) for loss in records[:, 0]]


def _rates(steps: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.full(len(steps), LEARNING_RATE, np.float32)


def _store(problem: Problem, trained: Program) -> dict[str, Any]:
    """The weight store with the problem's weights and slots of zeros."""
    store: dict[str, Any] = {}
    for variable in trained.variables:
        layer, _, name = variable.name.partition("/")
        store[variable.name] = aligned(variable.shape, "float32")
        store[variable.name][...] = problem.weights[layer][name]
    return store | empty_slots(trained.slots)
