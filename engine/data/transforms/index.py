"""Index: a category's place among the sorted categories, as a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import registry
from engine.data.npy import Array
from engine.data.transform import UNKNOWN_CODE, Chunks, Part, Sample, State, Transform, to_codes
from engine.errors import DataError
from engine.options import choice, option


@registry.register("transform")
@dataclass(frozen=True, kw_only=True)
class Index(Transform):
    """Categories, or integers of few distinct values when named, to 0 … count - 1. None may be missing."""

    unknown: str = option(choice("error", "extra"), default="error",
                          doc="a category that the dataset does not have: refused when predicting, or `count`")

    def accepts(self, part: Part) -> str | None:
        """Whatever has listed values and none missing."""
        if not part.values or part.shape:
            return "categories or integers of few distinct values"
        return "a column without missing values (Impute comes first)" if part.missing else None

    def chooses(self, part: Part) -> bool:
        """Categories only; integers must be named."""
        return part.kind == "category" and self.accepts(part) is None

    def resolve(self, part: Part) -> tuple[Part, ...]:
        """One number."""
        return (part.then(self, kind="numeric", values=None, encoded=True),)

    def fit(self, part: Part, chunks: Chunks) -> dict[str, Any]:
        """Nothing is learnt: the values are the manifest's."""
        return {"values": list(part.values or ()), "unknown": self.unknown}

    @classmethod
    def apply(cls, values: Array, state: State) -> Array:
        """Places (rows,)."""
        codes = to_codes(values, state)
        if (codes < 0).any():
            if state["unknown"] == "error" or (codes > UNKNOWN_CODE).all():
                raise DataError("unknown_category", "expected one of the dataset's categories, received another",
                                where=f"row {int(np.argmax(codes < 0))}")
            codes = np.where(codes == UNKNOWN_CODE, len(state["values"]), codes)
        return codes.astype(np.float64)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """Texts and integers."""
        city = Part(name="c", source="c", kind="category", shape=(), values=("Oslo", "Rome"))
        month = Part(name="m", source="m", kind="numeric", shape=(), values=(1, 5, 12))
        return (Sample({}, city, [], [1, 0], [1.0, 0.0]),
                Sample({"unknown": "extra"}, city, [], [1, -2], [1.0, 2.0]),
                Sample({"columns": ["m"]}, month, [], [12.0, 1.0], [2.0, 0.0]))
