"""Nodes that hang on constants alone, and shapes: computed while reading, in numpy, up to a size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from engine.errors import WeightsError
from engine.onnx.taken.flow import BATCH, Array

MOST = 1 << 28
"""Numbers of a computed constant."""
Attributes = Mapping[str, Any]
Fold = Callable[[Sequence[Array], Attributes], Array]


def _axes(arrays: Sequence[Array], attributes: Attributes) -> tuple[int, ...]:
    axes = arrays[1] if len(arrays) > 1 else attributes.get("axes")
    return tuple(int(axis) for axis in np.ravel(axes)) if axes is not None else ()


def _squeeze(arrays: Sequence[Array], attributes: Attributes) -> Array:
    return np.squeeze(arrays[0], _axes(arrays, attributes) or None)


def _unsqueeze(arrays: Sequence[Array], attributes: Attributes) -> Array:
    return np.expand_dims(arrays[0], _axes(arrays, attributes))


def _reshape(arrays: Sequence[Array], attributes: Attributes) -> Array:
    sizes = [arrays[0].shape[place] if size == 0 else int(size) for place, size in enumerate(arrays[1])]
    return arrays[0].reshape(sizes)


def _slice(arrays: Sequence[Array], attributes: Attributes) -> Array:
    data, starts, ends = arrays[0], arrays[1], arrays[2]
    axes = arrays[3] if len(arrays) > 3 else np.arange(len(starts))
    steps = arrays[4] if len(arrays) > 4 else np.ones(len(starts), np.int64)
    index: list[slice] = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index[int(axis)] = slice(int(start), int(end), int(step))
    return data[tuple(index)]


def _sizes(shape: Array) -> list[int]:
    """What is the same for the whole batch is so for one example."""
    return [1 if size == BATCH else int(size) for size in shape.reshape(-1)]


def _transpose(arrays: Sequence[Array], attributes: Attributes) -> Array:
    return arrays[0].transpose(attributes.get("perm"))


def _cast(arrays: Sequence[Array], attributes: Attributes) -> Array:
    return arrays[0].astype(np.float32 if attributes.get("to") in (1, 10, 11, 16) else np.int64)


def _divide(arrays: Sequence[Array], attributes: Attributes) -> Array:
    a, b = arrays
    return a // b if a.dtype.kind == "i" and b.dtype.kind == "i" else a / b


def _of(function: Callable[..., Any]) -> Fold:
    return lambda arrays, attributes: np.asarray(function(*arrays))


FOLDS: dict[str, Fold] = {
    "Add": _of(np.add), "Sub": _of(np.subtract), "Mul": _of(np.multiply), "Div": _divide, "Sqrt": _of(np.sqrt),
    "Neg": _of(np.negative), "Exp": _of(np.exp), "Reciprocal": _of(np.reciprocal), "Pow": _of(np.power),
    "Identity": lambda arrays, _: arrays[0], "Cast": _cast, "Reshape": _reshape, "Transpose": _transpose,
    "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Slice": _slice,
    "Gather": lambda arrays, attributes: np.take(arrays[0], arrays[1], attributes.get("axis", 0)),
    "Concat": lambda arrays, attributes: np.concatenate(arrays, attributes["axis"]),
    "Shape": lambda arrays, _: np.array(arrays[0].shape, np.int64),
    "ReduceProd": lambda arrays, _: np.prod(arrays[0], keepdims=True),
    "ConstantOfShape": lambda arrays, attributes: np.full(
        _sizes(arrays[0]), attributes.get("value", np.zeros(1, np.float32)).reshape(-1)[0]),
    "Expand": lambda arrays, _: np.broadcast_to(
        arrays[0], np.broadcast_shapes(arrays[0].shape, tuple(_sizes(arrays[1])))),
}
_MOVING = {"Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Slice", "Gather", "Concat", "ConstantOfShape",
           "Expand"}
"""What the batch's unknown size comes through unchanged."""


def fold(operator: str, arrays: Sequence[Array], attributes: Attributes) -> Array | None:
    """The value of a node; None for an operator that is not computed here. Raises WeightsError."""
    if operator not in FOLDS:
        return None
    if operator not in _MOVING and any(array.dtype.kind == "i" and (array == BATCH).any() for array in arrays):
        raise WeightsError("expected a shape that does not compute with the size of the batch")
    size = sum(array.size for array in arrays)
    if operator in ("ConstantOfShape", "Expand"):
        size = math.prod(max(each, 0) for each in _sizes(arrays[-1])) * (arrays[0].size if operator == "Expand" else 1)
    if operator in ("Add", "Sub", "Mul", "Div", "Pow"):
        size = math.prod(np.broadcast_shapes(*(array.shape for array in arrays)))
    if operator == "Gather":
        size = arrays[1].size * max(arrays[0].size // max(arrays[0].shape[attributes.get("axis", 0)], 1), 1)
    if size > MOST:
        raise WeightsError(f"expected constants of at most {MOST} numbers, received {size}")
    with np.errstate(all="ignore"):
        return np.asarray(FOLDS[operator](arrays, attributes))
