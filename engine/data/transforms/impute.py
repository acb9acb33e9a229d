"""Impute: a value for those that are missing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine import registry
from engine.data import limits
from engine.data.npy import Array
from engine.data.transform import MISSING_CODE, Chunks, Part, Sample, State, Step, Transform
from engine.errors import DataError, pointer_to, show
from engine.options import Mismatch, boolean, choice, either, number, option, optional, text


@registry.register("transform")
@dataclass(frozen=True, kw_only=True)
class Impute(Transform):
    """Fills missing values with what is learnt from the training split, or with a constant.

    `mean` and `median` are for numbers; `most_frequent` (the smallest of several) and `constant` also for categories.
    `indicator` adds a column that is 1 where the value was missing.
    """

    strategy: str = option(choice("mean", "median", "most_frequent", "constant"), default="mean")
    value: float | str | None = option(optional(either(number(), text(limits.MAX_TEXT))), default=None,
                                       doc="for the strategy constant: a number, or a text for categories")
    indicator: bool = option(boolean, default=False, doc="add a column that says where values were missing")

    def check(self, pointer: str) -> None:
        """A constant needs a value, and nothing else does."""
        if (self.value is not None) != (self.strategy == "constant"):
            expected = "a number or a text for the strategy constant" if self.value is None else \
                f"no value for the strategy {self.strategy}"
            raise Mismatch(pointer_to(pointer, "value"), expected, self.value)

    def accepts(self, part: Part) -> str | None:
        """What the strategy can be applied to."""
        numeric = self.strategy in ("mean", "median", "most_frequent") or isinstance(self.value, float)
        texts = self.strategy == "most_frequent" or isinstance(self.value, str)
        if (part.kind == "numeric" and numeric) or (part.kind == "category" and texts):
            return None
        return "numbers or categories" if numeric and texts else "numbers" if numeric else "categories"

    def chooses(self, part: Part) -> bool:
        """All columns of its kind that have missing values."""
        return super().chooses(part) and part.missing > 0

    def resolve(self, part: Part) -> tuple[Part, ...]:
        """Nothing is missing any more; a constant text may be a category of its own."""
        values = part.values
        if part.kind == "category" and isinstance(self.value, str) and self.value not in (values or ()):
            values = (*map(str, values or ()), self.value)
        filled = part.then(self, missing=0, values=values)
        if not self.indicator:
            return (filled,)
        flag = replace(part, name=f"{part.name}_missing", kind="numeric", values=None, missing=0, encoded=True,
                       steps=(*part.steps, Step(self, part, flag=True)))
        return filled, flag

    def fit(self, part: Part, chunks: Chunks) -> dict[str, Any]:
        """The value, one for each number of an example."""
        if part.kind == "category":
            values = tuple(part.values or ())
            if isinstance(self.value, str):
                return {"fill": values.index(self.value) if self.value in values else len(values)}
            counts = sum((np.bincount(np.maximum(chunk, -1) + 1, minlength=len(values) + 1) for chunk in chunks()),
                         np.zeros(len(values) + 1, np.int64))[1:]
            if not counts.any():
                raise _empty(part)
            return {"fill": int(counts.argmax())}
        if self.strategy == "constant":
            return {"fill": self.value}
        rows = np.concatenate([np.empty((0, *part.shape)), *chunks()])
        columns = rows.reshape(len(rows), -1).T
        fills = [self._learn(column[~np.isnan(column)], part) for column in columns]
        return {"fill": fills if part.shape else fills[0]}

    def _learn(self, present: Array, part: Part) -> float:
        if not present.size:
            raise _empty(part)
        if self.strategy == "most_frequent":
            values, counts = np.unique(present, return_counts=True)
            return float(values[counts.argmax()])
        return float(np.mean(present) if self.strategy == "mean" else np.median(present))

    @classmethod
    def apply(cls, values: Array, state: State) -> Array:
        """Only missing values change."""
        if values.dtype.kind == "i":
            return np.where(values == MISSING_CODE, np.int32(state["fill"]), values)
        fill = np.reshape(np.asarray(state["fill"], np.float64), values.shape[1:] if np.ndim(state["fill"]) else ())
        return np.where(np.isnan(values), fill, values)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """Every strategy, on numbers and on categories."""
        nan = float("nan")
        column = Part(name="a", source="a", kind="numeric", shape=(), missing=1)
        pair = Part(name="p", source="p", kind="numeric", shape=(2,), missing=1)
        city = Part(name="c", source="c", kind="category", shape=(), values=("Oslo", "Rome"), missing=1)
        return (Sample({}, column, [1.0, nan, 4.0], [nan, 2.0], [2.5, 2.0]),
                Sample({"strategy": "median", "indicator": True}, column, [1.0, 9.0, nan, 2.0], [nan, 5.0], [2.0, 5.0],
                       flags=[1.0, 0.0]),
                Sample({"strategy": "most_frequent"}, column, [3.0, 1.0, 3.0, 1.0], [nan], [1.0]),
                Sample({"strategy": "constant", "value": -1}, column, [], [nan, 0.0], [-1.0, 0.0]),
                Sample({"strategy": "mean"}, pair, [[1.0, nan], [3.0, 8.0]], [[nan, nan], [0.0, 1.0]],
                       [[2.0, 8.0], [0.0, 1.0]]),
                Sample({"strategy": "most_frequent", "indicator": True}, city, [1, -1, 1, 0], [-1, 0, -2], [1, 0, -2],
                       flags=[1.0, 0.0, 0.0]),
                Sample({"strategy": "constant", "value": "none"}, city, [], [-1, 1], [2, 1]))


def _empty(part: Part) -> DataError:
    return DataError("column_empty", "expected values in the training split, received none",
                     where=f"column {show(part.source)}")
