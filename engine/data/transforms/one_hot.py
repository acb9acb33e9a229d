"""OneHot: a number for each category, 1 for the example's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import registry
from engine.data.npy import Array
from engine.data.transform import MISSING_CODE, UNKNOWN_CODE, Chunks, Part, Sample, State, Transform, to_codes
from engine.errors import DataError
from engine.options import choice, option


@registry.register("transform")
@dataclass(frozen=True, kw_only=True)
class OneHot(Transform):
    """Categories, or integers of few distinct values when named, to one 0 or 1 for each category.

    The categories are the whole dataset's, so that the shape is known before training.
    """

    unknown: str = option(choice("zeros", "error"), default="zeros",
                          doc="what a category that the dataset does not have becomes when predicting")
    missing: str = option(choice("zeros", "category"), default="zeros",
                          doc="what a missing value becomes: zeros, or a category of its own (the last)")

    def accepts(self, part: Part) -> str | None:
        """Whatever has listed values."""
        return None if part.values and not part.shape else "categories or integers of few distinct values"

    def chooses(self, part: Part) -> bool:
        """Categories only; integers must be named."""
        return part.kind == "category"

    def resolve(self, part: Part) -> tuple[Part, ...]:
        """As wide as there are categories."""
        width = len(part.values or ()) + (self.missing == "category")
        return (part.then(self, kind="numeric", shape=(width,), values=None, missing=0, encoded=True),)

    def fit(self, part: Part, chunks: Chunks) -> dict[str, Any]:
        """Nothing is learnt: the values are the manifest's."""
        return {"values": list(part.values or ()), "unknown": self.unknown, "missing": self.missing}

    @classmethod
    def apply(cls, values: Array, state: State) -> Array:
        """Zeros and ones (rows, width)."""
        codes, count = to_codes(values, state), len(state["values"])
        if state["unknown"] == "error" and (codes == UNKNOWN_CODE).any():
            raise DataError("unknown_category", "expected one of the dataset's categories, received another",
                            where=f"row {int(np.argmax(codes == UNKNOWN_CODE))}")
        width = count + (state["missing"] == "category")
        if width > count:
            codes = np.where(codes == MISSING_CODE, count, codes)
        return np.asarray(codes[:, None] == np.arange(width), np.float64)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """Texts with unknown and missing ones, and integers."""
        city = Part(name="c", source="c", kind="category", shape=(), values=("Oslo", "Rome"), missing=1)
        month = Part(name="m", source="m", kind="numeric", shape=(), values=(1, 5, 12))
        return (Sample({}, city, [], [1, 0, -1, -2], [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]),
                Sample({"missing": "category"}, city, [], [1, -1], [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
                Sample({"columns": ["m"]}, month, [], [12.0, 1.0, 4.0],
                       [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
