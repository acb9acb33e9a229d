"""What a job predicts: classes or numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.data import limits
from engine.data.block import Target
from engine.data.npy import Array, row_chunks
from engine.errors import DefinitionError, Fault, pointer_to, show

FEW_CLASSES = 20
"""Integers of so few distinct values are taken for classes if nothing says otherwise."""


@dataclass(frozen=True, kw_only=True)
class TargetSpec:
    """One example's target: int32 codes of shape () for `classes`, float32 of shape (columns,) for `numeric`."""

    kind: str
    classes: tuple[str, ...] | None
    shape: tuple[int, ...]
    dtype: str
    columns: tuple[str, ...]
    values: tuple[int, ...] | None = None
    """The integers that the classes stand for, sorted; None if the column holds codes already."""
    written_kind: str | None = None
    """What a `data` block must say to be understood the same way again."""


def resolve_target(target: Target, manifest: Mapping[str, Any], pointer: str, wants: str | None) -> TargetSpec:
    """Check the target's columns against the manifest. Raises DefinitionError."""
    features = {feature["name"]: feature for feature in manifest["features"]}
    faults = []
    for number, name in enumerate(target.columns):
        at = pointer if isinstance(target.column, str) else pointer_to(pointer, number)
        fault = _unfit(features[name], manifest["profile"][name], numeric=len(target.columns) > 1)
        if fault:
            faults.append(Fault(at, fault))
    if len(set(target.columns)) < len(target.columns):
        faults.append(Fault(pointer, "expected different columns, received one twice"))
    if target.kind == "classes" and len(target.columns) > 1:
        faults.append(Fault(pointer, f"expected one column of classes, received {len(target.columns)}"))
    if faults:
        raise DefinitionError(faults)
    if len(target.columns) > 1:
        return _numeric(target, sum(math.prod(features[name]["shape"]) for name in target.columns))
    return _single(target, features[target.columns[0]], manifest, pointer, wants)


def _unfit(feature: Mapping[str, Any], profile: Mapping[str, Any], *, numeric: bool) -> str | None:
    name = show(feature["name"])
    if feature["type"] in ("text", "image"):
        return f"expected classes or numbers, received {name} of type {feature['type']}"
    if len(feature["shape"]) > 1:
        return f"expected one number or a row of numbers for each example, received shape {show(feature['shape'])}"
    if profile["missing"]:
        return f"expected a target in every row, received {profile['missing']} rows without a value of {name}"
    if numeric and feature["type"] == "category":
        return f"expected columns of numbers, received {name} of type category"
    return None


def _single(target: Target, feature: Mapping[str, Any], manifest: Mapping[str, Any], pointer: str,
            wants: str | None) -> TargetSpec:
    name, profile = feature["name"], manifest["profile"][feature["name"]]
    width = math.prod(feature["shape"])
    if feature["type"] == "category":
        if target.kind == "numeric":
            raise DefinitionError([Fault(pointer, f"expected a column of numbers, received {show(name)} of type "
                                         "category")])
        return TargetSpec(kind="classes", classes=tuple(feature["categories"]), shape=(), dtype="int32",
                          columns=(name,))
    values = tuple(sorted(map(int, profile["classes"]))) if "classes" in profile else None
    kind = target.kind or (_likely(values, wants) if width == 1 and values is not None else "numeric")
    if kind == "numeric":
        return _numeric(target, width, None if values is None else "numeric")
    if values is None:
        raise DefinitionError([Fault(pointer, f"expected a column of texts or of at most {limits.MAX_LISTED_VALUES} "
                                     f"distinct integers as classes, received {show(name)} of type {feature['type']}")])
    if name == manifest["target"] and manifest["classes"] is not None:
        return TargetSpec(kind="classes", classes=tuple(manifest["classes"]), shape=(), dtype="int32", columns=(name,),
                          values=tuple(range(len(manifest["classes"]))), written_kind="classes")
    names = ("false", "true")[values[0]:values[-1] + 1] if feature["type"] == "boolean" else tuple(map(str, values))
    return TargetSpec(kind="classes", classes=names, shape=(), dtype="int32", columns=(name,), values=values,
                      written_kind="classes")


def _likely(values: tuple[int, ...], wants: str | None) -> str:
    if wants in ("classes", "numeric"):
        return wants
    return "classes" if len(values) <= FEW_CLASSES or values == tuple(range(len(values))) else "numeric"


def _numeric(target: Target, width: int, written_kind: str | None = None) -> TargetSpec:
    return TargetSpec(kind="numeric", classes=None, shape=(width,), dtype="float32", columns=target.columns,
                      written_kind=written_kind)


def read_target(spec: TargetSpec, columns: Mapping[str, Array]) -> Array:
    """The target of every row, in memory."""
    if spec.kind == "classes":
        codes = np.asarray(columns[spec.columns[0]]).reshape(-1)
        if spec.values is None:
            return np.asarray(codes, np.int32)
        return np.searchsorted(np.asarray(spec.values), codes).astype(np.int32)
    rows = len(columns[spec.columns[0]])
    target = np.empty((rows, *spec.shape), np.float32)
    start = 0
    for name in spec.columns:
        column = columns[name]
        width = column.size // rows
        for chunk in row_chunks(rows, 8 * width):
            target[chunk, start:start + width] = np.asarray(column[chunk]).reshape(-1, width)
        start += width
    return target
