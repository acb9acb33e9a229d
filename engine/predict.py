"""Predicting with a weights file alone: it carries the definition and the fitted preprocessing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from engine import formats
from engine.data.apply import affine_of, apply_preprocessing
from engine.definition.model import parse_model
from engine.errors import WeightsError
from engine.lowering.plan import compile_plan
from engine.lowering.select import Numerics
from engine.programs import Pipeline, Stored, predict_program
from engine.runtime.cores import available_cores
from engine.runtime.session import Session, aligned
from engine.runtime.threads import Workers
from engine.variables import fill

BATCH = 64
"""Examples computed at a time."""


class TrainedModel:
    """A model with its weights. `classes` are the target's names, if it has any; `metrics` what training reached."""

    def __init__(self, file: Path, *, threads: int | None = None, numerics: Numerics = "winograd4") -> None:
        """Raises WeightsError for a file that is damaged, foreign, or does not fit its own definition."""
        content = formats.read(Path(file))
        if content.metadata is None:
            raise WeightsError("expected a weights file with Stoker's metadata, received one without")
        self.metadata = content.metadata
        self.classes = content.metadata.classes
        self.metrics = content.metadata.metrics
        self.model = parse_model(content.metadata.definition, "")
        self._preprocessing = content.metadata.preprocessing
        inputs = self._preprocessing["inputs"]
        only = next(iter(inputs)) if len(inputs) == 1 else None
        self._feeds = {name: name if name in inputs else only for name in self.model.inputs}
        affine = affine_of(self._preprocessing)
        stored = {name: Stored(tuple(inputs[source]["shape"]), inputs[source]["dtype"], affine.get(source))
                  for name, source in self._feeds.items() if source is not None}
        program = predict_program(self.model, Pipeline(stored))
        weights = {variable.name: aligned(variable.shape, "float32") for variable in program.variables}
        fill(weights, content.named(weights))
        self._workers = Workers(threads or available_cores())
        self._one_at_a_time = Lock()
        self._session = Session(compile_plan(program.graph, BATCH, numerics=numerics), weights, {}, self._workers)

    def predict(self, x: Any) -> Any:
        """The model's output for raw examples: float32 (examples, …), or a dict by name if it has several outputs.

        `x` is what the dataset held: one array for the only column (pictures uint8), rows of a table, or
        {column: values}. Raises DataError for examples that do not fit. Calls from several threads wait for each other.
        """
        prepared = apply_preprocessing(self._preprocessing, x)
        fed = {name: prepared[source] for name, source in self._feeds.items() if source is not None}
        with self._one_at_a_time:
            outputs = self._outputs(fed)
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def _outputs(self, fed: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        count = len(next(iter(fed.values())))
        parts: dict[str, list[np.ndarray[Any, Any]]] = {name: [] for name in self.model.outputs}
        for start in range(0, count, BATCH):
            size = min(BATCH, count - start)
            for name, array in fed.items():
                self._session.feeds[name].reshape(-1)[: array[start : start + size].size] = array[
                    start : start + size
                ].reshape(-1)
            self._session.run(size)
            for name, found in parts.items():
                found.append(self._session.fetch(name, size))
        empty = {name: np.zeros((0, *self.model.output_shape(name)), np.float32) for name in parts}
        return {name: np.concatenate(found) if found else empty[name] for name, found in parts.items()}

    def close(self) -> None:
        """End the model's threads."""
        self._workers.close()


def load(file: Path | str, *, threads: int | None = None, numerics: Numerics = "winograd4") -> TrainedModel:
    """The trained model in a weights file of any format that there is. `numerics` is as in a job's `training`."""
    return TrainedModel(Path(file), threads=threads, numerics=numerics)
