"""A job's programs over one weight store: training at once, evaluation when it is first needed."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from engine.data.prepare import Prepared
from engine.definition.job import JobSpec
from engine.lowering.within import compile_within
from engine.programs import TARGET, WEIGHT, Pipeline, Stored, evaluate_program, train_program
from engine.runner import Runner
from engine.runtime.threads import Workers
from engine.stages import Stages
from engine.variables import empty_slots, initial_weights


class Bound:
    """`weights` and `slots` are what `train` changes in place. `repeated` says what is computed again to save memory.

    `memory_bytes` bounds weights, slots and the training plan's arena together, as far as it goes; where that is not
    enough, `exceeds` says so.
    """

    def __init__(self, spec: JobSpec, prepared: Prepared, batch: int, workers: Workers, memory_bytes: int | None,
                 stages: Stages) -> None:
        self._spec, self._prepared, self._workers = spec, prepared, workers
        columns = {name: prepared.inputs[source] for name, source in spec.feeds.items()}
        self._tables: dict[str, Any] = {**columns, TARGET: np.ascontiguousarray(prepared.target)}
        weights = _example_weights(spec, prepared)
        inputs = {name: Stored(tuple(columns[name].shape[1:]), str(columns[name].dtype), prepared.affine.get(source))
                  for name, source in spec.feeds.items()}
        target = (tuple(prepared.target.shape[1:]), str(prepared.target.dtype))
        self._pipeline = Pipeline(inputs, prepared.augmentations, target, weights is not None)
        with stages("graphs"):
            program = train_program(spec.model, spec.training, self._pipeline)
        with stages("weights"):
            self.weights = initial_weights(program.variables, spec.training.seed)
            self.slots = empty_slots(program.slots)
        store = {**self.weights, **self.slots}
        kept = sum(array.nbytes for array in store.values())
        with stages("plan"):
            limit = None if memory_bytes is None else max(0, memory_bytes - kept)
            plan, self.repeated = compile_within(program.graph, batch, limit, spec.training.numerics)
            planned = kept + plan.allocation.arena_bytes
            self.exceeds = "" if memory_bytes is None or planned <= memory_bytes else (
                f"expected a training that plans at most {memory_bytes:,} bytes, received one of {planned:,}")
        with stages("compute kernels"):
            self.train = Runner(program, batch, store, self._with(weights), workers, seed=spec.training.seed, plan=plan)
            self.train.bind()

    @cached_property
    def evaluate(self) -> Runner:
        """The evaluation program; compiled behind the first steps."""
        weights, splits = self._prepared.sample_weight, self._prepared.splits
        pipeline = replace(self._pipeline, augmentations=(), weighted=weights is not None)
        program = evaluate_program(self._spec.model, self._spec.training, pipeline)
        batch = max(1, min(self._spec.training.batch_size, max(map(len, splits.values()))))
        return Runner(program, batch, self.weights, self._with(weights), self._workers,
                      numerics=self._spec.training.numerics)

    def _with(self, weights: Any) -> dict[str, Any]:
        """The tables, with the examples' weights if there are any."""
        return self._tables if weights is None else {**self._tables, WEIGHT: np.ascontiguousarray(weights)}


def _example_weights(spec: JobSpec, prepared: Prepared) -> Any:
    """The weight of every example in training: its own, times its class's. None if all are 1."""
    if spec.class_weights is None:
        return prepared.sample_weight
    weights = np.asarray(spec.class_weights, np.float32)[prepared.target]
    return weights if prepared.sample_weight is None else weights * prepared.sample_weight
