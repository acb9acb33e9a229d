"""Discretization: numbers to the bins between boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import registry
from engine.data.npy import Array
from engine.data.transform import Chunks, Part, Sample, State, Transform
from engine.data.vocabulary import mode_option
from engine.errors import DataError, show
from engine.options import Mismatch, integer, number, only, option, optional, sequence

MAX_BINS = 10_000


@registry.register("transform")
@dataclass(frozen=True, kw_only=True)
class Discretization(Transform):
    """How many boundaries are not above a number, as Keras 3's layer of this name.

    Boundaries are given, or learnt: quantiles of the training split as Keras's `adapt` takes them of one array.
    """

    bin_boundaries: tuple[float, ...] | None = option(optional(sequence(number(), 1, MAX_BINS)), default=None)
    num_bins: int | None = option(optional(integer(minimum=2, maximum=MAX_BINS)), default=None)
    epsilon: float = option(number(above=0, maximum=1), default=0.01, doc="how exact learnt boundaries are")
    output_mode: str = mode_option("int", "one_hot", "multi_hot", "count")
    sparse: bool = option(only(False, "there are no sparse arrays"), default=False)

    def check(self, pointer: str) -> None:
        """Boundaries, or a number of bins."""
        if self.bin_boundaries is None and self.num_bins is None:
            raise Mismatch(f"{pointer}/num_bins", "a number of bins, or bin_boundaries", None)
        if self.bin_boundaries is not None and list(self.bin_boundaries) != sorted(self.bin_boundaries):
            raise Mismatch(f"{pointer}/bin_boundaries", "boundaries in ascending order", list(self.bin_boundaries))
        if self.bin_boundaries is None and self.output_mode != "int":
            raise Mismatch(f"{pointer}/bin_boundaries", f"a list for {self.output_mode}: how many different ones are "
                           "learnt is not known before training", None)

    def accepts(self, part: Part) -> str | None:
        """One number an example."""
        if part.kind != "numeric" or part.shape:
            return "a column of numbers"
        return "a column without missing values (Impute comes first)" if part.missing else None

    def resolve(self, part: Part) -> tuple[Part, ...]:
        """A number, or as many as there are bins."""
        shape = () if self.output_mode == "int" or self.bin_boundaries is None else (len(self.bin_boundaries) + 1,)
        return (part.then(self, shape=shape, values=None, encoded=True),)

    def fit(self, part: Part, chunks: Chunks) -> dict[str, Any]:
        """The boundaries."""
        bounds = list(self.bin_boundaries or ())
        if not bounds:
            values = np.concatenate([np.empty(0), *chunks()]).astype(np.float32)
            if not values.size:
                raise DataError("column_empty", "expected values in the training split, received none",
                                where=f"column {show(part.source)}")
            bounds = quantiles(values, self.num_bins or 2, self.epsilon)
        return {"boundaries": bounds, "mode": self.output_mode}

    @classmethod
    def apply(cls, values: Array, state: State) -> Array:
        """Bins (rows,), or (rows, bins)."""
        bounds = np.asarray(state["boundaries"], np.float32)
        # As Keras in float32, where a learnt boundary equals the value it was. A bin for what is missing would hide it.
        found = np.where(np.isnan(values), np.nan, np.searchsorted(bounds, values.astype(np.float32), side="right"))
        if state["mode"] == "int":
            return found
        return np.where(np.isnan(found)[:, None], np.nan, found[:, None] == np.arange(len(bounds) + 1))

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """Given and learnt boundaries."""
        column = Part(name="a", source="a", kind="numeric", shape=())
        return (Sample({"bin_boundaries": [0, 1, 2]}, column, [], [-1.5, 1.0, 3.4, 0.5], [0, 2, 3, 1]),
                Sample({"bin_boundaries": [0], "output_mode": "one_hot"}, column, [], [-1.0, 0.0], [[1, 0], [0, 1]]),
                Sample({"num_bins": 4}, column, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], [0.5, 2.0, 9.0], [0, 1, 3]))


def quantiles(values: Array, bins: int, epsilon: float) -> list[float]:
    """Keras's: values at even distances among the sorted ones, of which boundaries are interpolated, in float32."""
    ordered = np.sort(values)
    step = max(len(ordered) * epsilon, 1)
    points = ordered[int(step - 1)::int(step)]
    summary = _compressed(np.stack([points, np.full_like(points, step)]), epsilon)
    return [float(bound) for bound in _compressed(summary, 1 / bins)[0, :-1]]


def _compressed(summary: Array, epsilon: float) -> Array:
    """Fewer points (value, weight) if there are more than 1 / epsilon."""
    if summary.shape[1] * epsilon < 1:
        return summary
    wanted = epsilon + np.arange(0.0, 1.0, epsilon)
    weights = summary[1].cumsum()
    share = weights / weights[-1]
    reached = np.interp(wanted, share, weights)
    return np.stack([np.interp(wanted, share, summary[0]), np.diff(reached, prepend=0)]).astype(np.float32)
