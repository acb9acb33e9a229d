"""What a dataset's columns hold: counts, ranges, moments, missing values, classes; and its first examples as JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.data import limits
from engine.data.images import data_uri, is_picture
from engine.data.npy import Array, row_chunks
from engine.data.texts import Texts

Splits = Mapping[str, Sequence[int]]
LISTED_NUMBERS = 64
LISTED_CHARACTERS = 300


def profile(features: Sequence[Mapping[str, Any]], columns: Mapping[str, Any], splits: Splits,
            target: str | None) -> dict[str, Any]:
    """A profile for every column, by its name. Many columns list fewer distinct values each, the target never."""
    listed = limits.LISTED_IN_ALL // max(1, len(features))
    listed = max(limits.FEWEST_LISTED, min(limits.MAX_LISTED_VALUES, listed))
    profiles: dict[str, Any] = {}
    for feature in features:
        column = columns.get(feature["name"])
        own = limits.MAX_LISTED_VALUES if feature["name"] == target else listed
        if column is None:
            profiles[feature["name"]] = {"count": splits_end(splits)}
        elif feature["type"] == "text":
            profiles[feature["name"]] = _texts(column)
        elif feature["type"] == "category":
            profiles[feature["name"]] = _categories(column, feature["categories"], splits, listed)
        elif column.dtype == np.uint8:
            profiles[feature["name"]] = {**_bytes(column), **_values(column, splits, own)}
        else:
            profiles[feature["name"]] = {**_numbers(column), **_values(column, splits, own)}
    return profiles


def splits_end(splits: Splits) -> int:
    """Rows of all splits together."""
    return max(stop for _, stop in splits.values())


def _texts(column: Texts) -> dict[str, Any]:
    sizes = column.row_bytes
    present = sizes[sizes > 0]
    return {"count": len(present), "missing": len(sizes) - len(present), "longest_bytes": int(present.max(initial=0)),
            "mean_bytes": float(present.mean()) if present.size else 0.0}


def _categories(column: Array, names: Sequence[str], splits: Splits, listed: int) -> dict[str, Any]:
    counts = {split: np.bincount(np.asarray(column[start:stop]) + 1, minlength=len(names) + 1)
              for split, (start, stop) in splits.items()}
    total = np.sum(list(counts.values()), axis=0)
    shown = np.argsort(-total[1:], kind="stable")[:listed]
    return {"count": len(column) - int(total[0]), "missing": int(total[0]), "distinct": len(names),
            "classes": {names[code]: int(total[code + 1]) for code in shown},
            "splits": {split: {names[code]: int(count[code + 1]) for code in shown} for split, count in counts.items()}}


def _values(column: Array, splits: Splits, listed: int) -> dict[str, Any]:
    """The distinct values of a column of integers or booleans, if they are few enough to be classes."""
    if column.dtype.kind == "f" or column.size != len(column):
        return {}
    counts: dict[str, Counter[int]] = {split: Counter() for split in splits}
    distinct: set[int] = set()
    for split, (start, stop) in splits.items():
        for chunk in row_chunks(stop - start, column.dtype.itemsize):
            values, numbers = np.unique(np.asarray(column[start:stop][chunk]), return_counts=True)
            counts[split].update(dict(zip(values.tolist(), numbers.tolist(), strict=True)))
            distinct.update(counts[split])
            if len(distinct) > listed:
                return {"distinct": f"more than {listed}"}
    ordered = sorted(distinct)
    return {"distinct": len(ordered),
            "classes": {str(int(value)): sum(count[value] for count in counts.values()) for value in ordered},
            "splits": {split: {str(int(value)): count[value] for value in ordered} for split, count in counts.items()}}


def _bytes(column: Array) -> dict[str, Any]:
    """Exact moments from histograms: a picture's pixels are only 256 different numbers."""
    channels = column.shape[3] if column.ndim == 4 else 1
    counts = np.zeros((channels, 256), np.int64)
    for chunk in row_chunks(len(column), column[0].nbytes):
        pixels = np.asarray(column[chunk]).reshape(-1, channels)
        for channel in range(channels):
            counts[channel] += np.bincount(pixels[:, channel], minlength=256)
    moments = [_histogram_moments(count) for count in [counts.sum(axis=0), *counts]]
    present = np.flatnonzero(counts.sum(axis=0))
    result: dict[str, Any] = {
        "count": len(column), "missing": 0, "minimum": int(present[0]), "maximum": int(present[-1]),
        "mean": moments[0][0], "std": math.sqrt(moments[0][1])}
    if channels > 1:
        result["channels"] = {"mean": [mean for mean, _ in moments[1:]],
                              "std": [math.sqrt(variance) for _, variance in moments[1:]]}
    return result


def _histogram_moments(counts: Array) -> tuple[float, float]:
    """Mean and variance of bytes that occur `counts[byte]` times, in exact integers until the last division."""
    total = int(counts.sum())
    first = sum(byte * int(count) for byte, count in enumerate(counts))
    second = sum(byte * byte * int(count) for byte, count in enumerate(counts))
    return first / total, (total * second - first * first) / (total * total)


def _numbers(column: Array) -> dict[str, Any]:
    count, mean, squares, low, high = 0, 0.0, 0.0, math.inf, -math.inf
    for chunk in row_chunks(len(column), 8 * (column.size // len(column))):
        values = np.asarray(column[chunk], np.float64).ravel()
        values = values[~np.isnan(values)]
        if values.size:
            # Chan, Golub, LeVeque: "Updating formulae and a pairwise algorithm for computing sample variances" (1979)
            own_mean = float(values.mean())
            delta = own_mean - mean
            squares += float(np.square(values - own_mean).sum()) \
                + delta * delta * count * values.size / (count + values.size)
            mean += delta * values.size / (count + values.size)
            count += values.size
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    result: dict[str, Any] = {"count": count, "missing": int(column.size) - count}
    if not count:
        return {**result, "minimum": None, "maximum": None, "mean": None, "std": None}
    kind = float if column.dtype.kind == "f" else int
    return {**result, "minimum": kind(low), "maximum": kind(high), "mean": mean, "std": math.sqrt(squares / count)}


def preview(features: Sequence[Mapping[str, Any]], columns: Mapping[str, Array], *,
            spread: bool) -> list[dict[str, Any]]:
    """The first examples, or as many spread over all rows where the first would all be of one class."""
    shown = [feature for feature in features if feature["name"] in columns][:limits.PREVIEW_COLUMNS]
    rows = len(next(iter(columns.values()), ()))
    count = min(rows, limits.PREVIEW_EXAMPLES)
    chosen = [number * rows // count for number in range(count)] if spread else list(range(count))
    return [{feature["name"]: _shown(feature, np.asarray(columns[feature["name"]][row])) for feature in shown}
            for row in chosen]


def _shown(feature: Mapping[str, Any], value: Array) -> Any:
    if is_picture(value.shape, value.dtype):
        return data_uri(value)
    if feature["type"] == "category":
        return None if value < 0 else feature["categories"][int(value)]
    if feature["type"] == "text":
        return str(value)[:LISTED_CHARACTERS] or None
    if value.size > LISTED_NUMBERS:
        return {"shape": list(value.shape), "first": _plain(value.ravel()[:LISTED_NUMBERS].tolist())}
    return _plain(value.tolist())


def _plain(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
