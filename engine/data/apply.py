"""Fitted preprocessing applied to raw values: the same code in training, evaluation and prediction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engine import registry
from engine.data.npy import Array
from engine.data.texts import texts
from engine.data.transform import MISSING_CODE, UNKNOWN_CODE, State, Transform, flags
from engine.data.types import BOOLEANS, MISSING
from engine.errors import DataError, nearest, show
from engine.options import entry, parse

MISSING_TEXTS = frozenset(MISSING)


def run_steps(values: Array, states: Iterable[State]) -> Array:
    """Values (rows, *shape) after all steps."""
    for state in states:
        values = flags(values) if state.get("flag") else _transform(state["type"]).apply(values, state)
    return values


def _transform(name: str) -> type[Transform]:
    cls = registry.lookup("transform", name)
    if cls is None:
        raise DataError("preprocessing_unknown", f"expected a known preprocessing step, received {show(name)}")
    return cls


def affine_of(preprocessing: Mapping[str, Any]) -> dict[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    """(scale, offset) of every input of pictures: what its steps come to, folded in float64 and then rounded."""
    folded = {}
    for name, written in preprocessing["inputs"].items():
        if written["dtype"] == "uint8":
            scale, offset = np.ones(1), np.zeros(1)
            for state in written["parts"][0]["steps"]:
                further = _transform(state["type"]).affine(state)
                if further is None:
                    raise DataError("preprocessing_unknown", "expected a step for pictures", where=show(state["type"]))
                scale, offset = scale * further[0], offset * further[0] + further[1]
            folded[name] = (scale.astype(np.float32), offset.astype(np.float32))
    return folded


def apply_preprocessing(preprocessing: Mapping[str, Any], raw: Any) -> dict[str, Array]:
    """The model's inputs for raw examples, as `Prepared.inputs` has them (pictures stay uint8, see `affine_of`), but
    cropped to the middle where training crops at random.

    `raw` is {column: values}, a list of such rows, or one array: of the only column, or (rows, columns) of table
    columns in the order of the features. Categories are texts; None, NaN and the usual texts are missing. Raises
    DataError.
    """
    inputs = preprocessing["inputs"]
    parts = [part for written in inputs.values() for part in written["parts"]]
    columns = _columns(raw, list(dict.fromkeys(part["source"] for part in parts)), parts)
    encoded: dict[str, Array] = {}
    for part in parts:
        if part["source"] not in encoded:
            encoded[part["source"]] = _encode(columns[part["source"]], part)
    rows = {name: len(values) for name, values in encoded.items()}
    if len(set(rows.values())) > 1:
        raise DataError("length_mismatch", f"expected as many rows in every column, received {show(rows)}")
    result: dict[str, Array] = {}
    for name, written in inputs.items():
        if written["dtype"] == "uint8":
            result[name] = encoded[written["parts"][0]["source"]]
        else:
            done = [finished(run_steps(encoded[part["source"]], part["steps"]), part["output_shape"], part["source"])
                    for part in written["parts"]]
            result[name] = np.concatenate(done, axis=-1)
        for augmentation in written["inference"]:
            result[name] = parse(entry("augmentation"), augmentation, "").inference(result[name])
    return result


def _columns(raw: Any, names: Sequence[str], parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if isinstance(raw, (list, tuple)) and raw and all(isinstance(row, Mapping) for row in raw):
        raw = {name: [row.get(name) for row in raw] for name in names if any(name in row for row in raw)}
    if not isinstance(raw, Mapping):
        if len(names) == 1:
            return {names[0]: raw}
        table = np.asarray(raw, object if isinstance(raw, (list, tuple)) else None)
        if table.ndim != 2 or table.shape[1] != len(names) or any(part["shape"] for part in parts):
            raise DataError("input_shape", f"expected the columns {', '.join(map(show, names[:20]))} by name",
                            where=f"an array of shape {show(table.shape)}")
        return {name: table[:, place] for place, name in enumerate(names)}
    for name in names:
        if name not in raw:
            misspelt = (nearest(other, [name]) for other in map(str, raw) if other not in names)
            raise DataError("unknown_column", f"expected the column {show(name)}, received "
                            f"{', '.join(map(show, list(raw)[:20])) or 'none'}{next(filter(None, misspelt), '')}")
    return {name: raw[name] for name in names}


def _encode(column: Any, part: Mapping[str, Any]) -> Array:
    """Raw values as steps take them."""
    where = f"column {show(part['source'])}"
    if part["kind"] == "category":
        codes = {text: code for code, text in enumerate(part["categories"])}
        return np.array([_code(value, codes) for value in np.asarray(column, object).reshape(-1)], np.int32)
    if part["kind"] == "text":
        return texts(_text(value) for value in np.asarray(column, object).reshape(-1))
    try:
        values = np.asarray(column)
        if values.dtype.kind not in "biuf":
            values = np.array([_number(value) for value in np.asarray(column, object).ravel()]).reshape(values.shape)
    except (ValueError, TypeError):
        raise DataError("input_value", "expected numbers", where=where) from None
    shape = tuple(part["shape"])
    if values.shape[1:] != shape and not (values.ndim and math.prod(values.shape[1:]) == math.prod(shape) == 1):
        raise DataError("input_shape", f"expected shape {show((None, *shape))}, received {show(values.shape)}",
                        where=where)
    values = values.reshape(-1, *shape)
    if part["kind"] != "image":
        return values.astype(np.float64)
    if values.dtype != np.uint8:
        with np.errstate(invalid="ignore"):  # what does not fit is found by the comparison
            exact = values.astype(np.uint8)
        if not np.array_equal(exact, values):
            raise DataError("input_value", f"expected whole numbers from 0 to 255, received "
                            f"{_not_bytes(values)}{_steps_of(part)}", where=where)
        return exact
    return values


def _not_bytes(values: Array) -> str:
    """What is in a picture that bytes cannot hold."""
    if not np.isfinite(values).all():
        return "NaN or infinity"
    fractions = values[values != np.floor(values)]
    if fractions.size:
        return f"values with fractions such as {float(fractions.flat[0]):.4g}"
    return f"{float(values[(values < 0) | (values > 255)].flat[0]):.4g}"


def _steps_of(part: Mapping[str, Any]) -> str:
    """Who divides pictures by 255 themselves is told that this happens anyway."""
    names = ", ".join(dict.fromkeys(state["type"] for state in part["steps"] if "type" in state))
    return f"; the file applies its own {names}" if names else ""


def _code(value: Any, codes: Mapping[str, int]) -> int:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING_CODE
    text = str(value).strip()
    return codes.get(text, MISSING_CODE if text in MISSING_TEXTS else UNKNOWN_CODE)


def _text(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _number(value: Any) -> float:
    if isinstance(value, str):
        text = value.strip()
        if text in MISSING_TEXTS:
            return math.nan
        return BOOLEANS[text.lower()] if text.lower() in BOOLEANS else float(text)
    return math.nan if value is None else float(value)


def finished(values: Array, shape: Sequence[int], source: str) -> npt.NDArray[np.float32]:
    """What an input takes of a column after its steps: float32 (rows, …, width), nothing missing or infinite."""
    with np.errstate(over="ignore"):
        result = values.reshape(len(values), *(shape or (1,))).astype(np.float32)
    if not np.isfinite(result).all():
        raise DataError("missing_value", "expected a finite number in every row",
                        where=f"column {show(source)}, row {int(np.argwhere(~np.isfinite(result))[0][0])}")
    return result
