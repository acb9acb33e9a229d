"""A dataset and a plan -> the arrays of a training run. What is learnt is learnt from training rows only."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.data.apply import affine_of, finished, run_steps
from engine.data.augmentation import Augmentation
from engine.data.columns import DataPlan, InputSpec
from engine.data.dataset import Dataset
from engine.data.npy import Array, row_chunks
from engine.data.splits import Rows, divide, surprises
from engine.data.targets import read_target
from engine.data.texts import Spelled
from engine.data.transform import Part
from engine.options import write

PREPROCESSING_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Everything a training run reads. Row r of every array is example r; `splits` are ascending row numbers.

    `inputs` are (examples, *stored shape): pictures stay memory-mapped uint8, to be taken as `x * scale + offset` with
    their `affine` (float32, broadcast over the last axis); all else is float32. `target` is int32 codes (examples,) or
    float32 (examples, columns). `preprocessing` is JSON, and enough for `apply_preprocessing`.
    """

    inputs: Mapping[str, Array]
    target: Array
    sample_weight: npt.NDArray[np.float32] | None
    splits: Mapping[str, Rows]
    classes: tuple[str, ...] | None
    affine: Mapping[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]
    augmentations: tuple[Augmentation, ...]
    preprocessing: dict[str, Any]
    warnings: tuple[str, ...]


def prepare(dataset: Dataset, plan: DataPlan, *, seed: int) -> Prepared:
    """Divide, fit on the training rows and apply. Raises DataError."""
    target = read_target(plan.target, dataset.columns)
    is_classes = plan.target.classes is not None
    splits = divide(plan.block.split, dataset.manifest["splits"], target if is_classes else None, seed)
    warnings = list(plan.warnings)
    if plan.target.classes is not None:
        warnings += surprises(splits, target, plan.target.classes)
    inputs: dict[str, Array] = {}
    states: dict[str, Any] = {}
    for name, parts in plan.parts.items():
        fitted = [_fit(part, _source(part, dataset.columns), splits["train"]) for part in parts]
        inputs[name] = _assemble(plan.inputs[name], parts, fitted, dataset.columns)
        spec = plan.inputs[name]
        inference = [write(entry) for entry in plan.block.augmentation] if spec.shape != spec.stored_shape else []
        states[name] = {"shape": list(spec.shape), "dtype": spec.dtype, "inference": inference,
                        "parts": [_written(part, steps) for part, steps in zip(parts, fitted, strict=True)]}
    preprocessing = {"version": PREPROCESSING_VERSION, "inputs": states}
    weight = plan.block.sample_weight
    return Prepared(
        inputs=inputs, target=target, splits=splits, classes=plan.target.classes, preprocessing=preprocessing,
        sample_weight=None if weight is None else np.asarray(dataset.columns[weight], np.float32).reshape(-1),
        affine=affine_of(preprocessing), augmentations=plan.block.augmentation, warnings=tuple(warnings))


def _fit(part: Part, column: Any, train: Rows) -> list[dict[str, Any]]:
    """The states of a part's steps, each learnt from training rows as the steps before it leave them."""
    states: list[dict[str, Any]] = []
    for step in part.steps:
        name = step.transform.type_name
        if step.flag:
            states.append({"type": name, "flag": True})
        else:
            chunks = partial(_chunks, column, train, tuple(states), math.prod(step.before.shape))
            states.append({"type": name, **step.transform.fit(step.before, chunks)})
    return states


def _chunks(column: Any, rows: Rows, states: tuple[dict[str, Any], ...], width: int) -> Iterator[Array]:
    for chunk in row_chunks(len(rows), 8 * width):
        yield run_steps(_values(column[rows[chunk]]), states)


def _source(part: Part, columns: Mapping[str, Array]) -> Any:
    """The dataset's column as the part's first step takes it."""
    origin, column = part.origin, columns[part.source]
    return Spelled(column, list(map(str, origin.values))) if origin.kind == "text" and origin.values else column


def _values(rows: Array) -> Array:
    """As steps take them: codes and texts stay what they are, all else becomes float64."""
    return np.asarray(rows) if rows.dtype in (np.int32, object) else np.asarray(rows, np.float64)


def _assemble(spec: InputSpec, parts: tuple[Part, ...], fitted: list[list[dict[str, Any]]],
              columns: Mapping[str, Array]) -> Array:
    """One array of an input's parts side by side."""
    first = columns[parts[0].source]
    if spec.dtype == "uint8" or (len(spec.stored_shape) > 1 and not parts[0].steps and first.dtype == np.float32):
        return first
    matrix = np.empty((len(first), *spec.stored_shape), np.float32)
    start = 0
    for part, states in zip(parts, fitted, strict=True):
        column = _source(part, columns)
        width = part.shape[-1] if part.shape else 1
        for chunk in row_chunks(len(column), 8 * math.prod(part.shape)):
            values = run_steps(_values(column[chunk]), states)
            matrix[chunk, ..., start:start + width] = finished(values, part.shape, part.source)
        start += width
    return matrix


def _written(part: Part, states: list[dict[str, Any]]) -> dict[str, Any]:
    origin = part.origin
    written = {"name": part.name, "source": part.source, "kind": origin.kind, "shape": list(origin.shape),
               "output_shape": list(part.shape), "steps": states}
    return {**written, "categories": list(origin.values or ())} if origin.kind == "category" else written
