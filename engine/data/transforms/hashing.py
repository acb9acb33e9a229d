"""Hashing: a text or an integer to one of a number of bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import registry
from engine.data.hashes import bucket
from engine.data.npy import Array
from engine.data.transform import Chunks, Part, Sample, State, Transform, as_text
from engine.data.transforms.lookup import pair, salt_option, token
from engine.data.vocabulary import MAX_TOKENS, counted, mode_option
from engine.errors import DataError
from engine.options import Reader, either, integer, only, option, optional, text

_text = text(1000)
_value = either(token, Reader(lambda value, pointer: value if value == "" else _text(value, pointer), _text.schema))


@registry.register("transform")
@dataclass(frozen=True, kw_only=True)
class Hashing(Transform):
    """A hash's remainder, with the bits of Keras 3's layer of this name: FarmHash, or SipHash with a salt.

    Numbers are hashed as integers, their fractions cut off; a missing text is empty. Bin 0 is that of `mask_value`, if
    one is given.
    """

    num_bins: int = option(integer(minimum=1, maximum=2**24))
    mask_value: int | str | None = option(optional(_value), default=None)
    salt: int | tuple[int, int] | None = option(salt_option, default=None)
    output_mode: str = mode_option("int", "one_hot", "multi_hot", "count")
    sparse: bool = option(only(False, "there are no sparse arrays"), default=False)

    def accepts(self, part: Part) -> str | None:
        """Texts as they stand in the dataset, or integers."""
        if self.output_mode != "int" and self.num_bins > MAX_TOKENS:
            return f"at most {MAX_TOKENS} bins for {self.output_mode}"
        if part.textual:
            return None
        if part.kind != "numeric" or part.shape:
            return "a column of texts, before any other step, or of integers"
        return "a column without missing values (Impute comes first)" if part.missing else None

    def chooses(self, part: Part) -> bool:
        """Texts; integers must be named."""
        return part.textual and super().chooses(part)

    def resolve(self, part: Part) -> tuple[Part, ...]:
        """A number, or as many as there are bins."""
        part = as_text(part, missing=0) if part.textual else part
        shape = () if self.output_mode == "int" else (self.num_bins,)
        return (part.then(self, kind="numeric", shape=shape, values=None, encoded=True),)

    def fit(self, part: Part, chunks: Chunks) -> dict[str, Any]:
        """Nothing is learnt."""
        return {"width": self.num_bins, "mask": self.mask_value, "salt": pair(self.salt), "mode": self.output_mode}

    @classmethod
    def apply(cls, values: Array, state: State) -> Array:
        """Bins (rows,) or (rows, bins)."""
        if values.dtype != object and not np.isfinite(values).all():
            raise DataError("missing_value", "expected a number in every row",
                            where=f"row {int(np.argmin(np.isfinite(values)))}")
        found = list(values) if values.dtype == object else [int(value) for value in values]
        masked = state["mask"] is not None and state["width"] > 1
        salt = None if state["salt"] is None else tuple(state["salt"])
        known = {value: 0 if masked and value == state["mask"] else
                 bucket(str(value), state["width"] - masked, salt) + masked for value in set(found)}
        if state["mode"] != "int":
            return counted([[known[value]] for value in found], state)
        return np.array([known[value] for value in found], np.float64)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """The examples of Keras's documentation."""
        letter = Part(name="l", source="l", kind="text", shape=())
        number = Part(name="n", source="n", kind="numeric", shape=())
        written = ["A", "B", "C", "D", "E"]
        return (Sample({"num_bins": 3}, letter, [], written, [1, 0, 1, 1, 2]),
                Sample({"num_bins": 3, "mask_value": ""}, letter, [], ["A", "B", "", "C", "D"], [1, 1, 0, 2, 2]),
                Sample({"num_bins": 3, "salt": [133, 137]}, letter, [], written, [1, 2, 1, 0, 2]),
                Sample({"num_bins": 3, "salt": 133}, letter, [], written, [0, 0, 2, 1, 0]),
                Sample({"num_bins": 2, "output_mode": "one_hot", "columns": ["n"], "mask_value": 7}, number, [],
                       [7.0, 8.0], [[1, 0], [0, 1]]))
