"""numpy arrays to columns: what npy and npz have in common.

Arrays called `x_train`, `x_test` (also `_validation`, `_val`) become one column `x` with given splits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from engine.data import limits
from engine.data.format import SPLIT_NAMES, SPLITS, Column, Contents, ProgressFunction, Writer
from engine.data.images import is_picture
from engine.data.npy import Array, row_chunks
from engine.errors import DataError, nearest, show

USUAL_TARGETS = ("y", "label", "labels", "target", "targets", "class", "classes")
LARGEST = float(np.finfo(np.float32).max)
SUFFIX = re.compile(r"(.+)_(train|test|validation|valid|val)")


def write_arrays(arrays: Mapping[str, Array], writer: Writer, progress: ProgressFunction, *, target: str | None,
                 classes: tuple[str, ...] | None) -> Contents:
    """Write every array as a column, in the given order."""
    columns = _columns(arrays)
    splits = _rows(columns)
    if target is not None and target not in columns:
        raise DataError("unknown_column", f"expected the target to be one of {', '.join(map(show, columns))}"
                        f"{nearest(target, columns)}", where="/options/target")
    target = target or next((name for name in USUAL_TARGETS if name in columns), None)
    total = sum(array.nbytes for parts in columns.values() for array in parts.values())
    done = 0
    described = []
    for number, (name, parts) in enumerate(columns.items()):
        dtype, shape = _common(name, parts)
        file = writer.file(f"array-{number}", dtype, (sum(splits.values()), *shape))
        for split, array in parts.items():
            for chunk in row_chunks(len(array), array.nbytes // len(array)):
                rows = np.asarray(array[chunk])
                where = f"array {show(name)} ({split}), rows {chunk.start} to {chunk.stop - 1}"
                if name == target and classes is not None:
                    _check_labels(rows, len(classes), where)
                file.append(_checked(rows, where))
                done += rows.nbytes
                progress(done, total)
        described.append(Column(name=name, type=_type(shape, dtype), shape=shape, dtype=dtype.name, file=file.name))
    return Contents(columns=described, splits=splits, target=target, classes=classes if target else None)


def _columns(arrays: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
    """Column -> split -> array."""
    matches = {name: SUFFIX.fullmatch(name) for name in arrays}
    if not all(matches.values()):
        return {name: {"train": array} for name, array in arrays.items()}
    columns: dict[str, dict[str, Array]] = {}
    for name, match in matches.items():
        if match is not None:
            columns.setdefault(match[1], {})[SPLIT_NAMES[match[2]]] = arrays[name]
    wanted = {split for parts in columns.values() for split in parts}
    for name, parts in columns.items():
        if set(parts) != wanted or "train" not in wanted:
            missing = sorted((wanted | {"train"}) - set(parts))
            raise DataError("arrays_missing", f"expected an array {show(f'{name}_{missing[0]}')} beside the others",
                            where=f"array {show(name)}")
    return {name: {split: parts[split] for split in SPLITS if split in parts} for name, parts in columns.items()}


def _rows(columns: Mapping[str, Mapping[str, Array]]) -> dict[str, int]:
    """Rows of each split, which every column must have."""
    first, rows = "", dict[str, int]()
    for name, parts in columns.items():
        received = {split: len(array) for split, array in parts.items()}
        first, rows = (first, rows) if rows else (name, received)
        for split, count in received.items():
            if count != rows[split]:
                raise DataError("length_mismatch", f"expected {rows[split]} rows as in {show(first)} ({split}), "
                                f"received {count}", where=f"array {show(name)}")
    return rows


def _common(name: str, parts: Mapping[str, Array]) -> tuple[np.dtype[np.generic], tuple[int, ...]]:
    """dtype and shape of one example, equal in every split."""
    found = {split: (array.dtype.newbyteorder("="), array.shape[1:]) for split, array in parts.items()}
    dtype, shape = found["train"]
    for split, (other_dtype, other_shape) in found.items():
        if (other_dtype, other_shape) != (dtype, shape):
            raise DataError("splits_differ", f"expected {dtype} of shape {show(shape)} as in train, received "
                            f"{other_dtype} of shape {show(other_shape)} in {split}", where=f"array {show(name)}")
    return dtype, shape


def _type(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> str:
    if is_picture(shape, dtype):
        return "image"
    return {"b": "boolean", "f": "number"}.get(dtype.kind, "integer")


def _checked(rows: Array, where: str) -> Array:
    """Rows whose numbers are in float32's range; NaN is a missing value, which pictures and the like cannot have."""
    if rows.dtype.kind == "b":
        return np.asarray(rows.view(np.uint8) != 0)  # a file may hold other bytes than 0 and 1
    if rows.dtype.kind == "f":
        if rows.dtype.itemsize > 2 and (np.abs(rows) > LARGEST).any():
            raise DataError("not_finite", "expected numbers within float32's range, received infinity or more",
                            where=where)
        if rows.dtype.itemsize == 2 and np.isinf(rows).any():
            raise DataError("not_finite", "expected finite numbers, received infinity", where=where)
        if rows.ndim > 2 and np.isnan(rows).any():
            raise DataError("not_finite", "expected finite numbers, received NaN", where=where)
    return rows


def _check_labels(rows: Array, classes: int, where: str) -> None:
    if rows.dtype.kind not in "iu" or rows.size != len(rows):
        raise DataError("label_dtype", f"expected one integer for each example, as classes are named, received "
                        f"{rows.dtype} of shape {show(rows.shape[1:])}", where=where)
    wrong = rows[(rows < 0) | (rows >= classes)]
    if wrong.size:
        raise DataError("label_out_of_range", f"expected labels from 0 to {classes - 1}, received {int(wrong.flat[0])}",
                        where=where)


def check_names(names: list[str]) -> None:
    """Array names become column names."""
    if len(names) > limits.MAX_ARRAYS:
        raise DataError("too_many_arrays", f"expected at most {limits.MAX_ARRAYS} arrays, received {len(names)}")
    for name in names:
        if not 1 <= len(name) <= limits.MAX_COLUMN_NAME or not name.isprintable():
            raise DataError("column_name", f"expected 1 to {limits.MAX_COLUMN_NAME} printable characters",
                            where=f"array {show(name)}")
