"""What a preprocessing step is, and what it does to a column on its way into an input.

A column travels as a Part: numbers (float64, NaN = missing), codes of categories (int32, -1 = missing, -2 = unknown),
texts (objects, empty = missing) or bytes of pictures (uint8, for which every step must be affine, since the compiled
plan does the arithmetic). A step is
resolved from the manifest alone, fitted on training rows, and leaves a JSON state that is enough to apply it anywhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from engine.data import limits
from engine.data.npy import Array
from engine.options import Reader, option, optional, sequence, text

MISSING_CODE, UNKNOWN_CODE = -1, -2

State = Mapping[str, Any]
Chunks = Callable[[], Iterable[Array]]
"""The training rows of a part as earlier steps left them, a chunk at a time; may be called again."""


@dataclass(frozen=True)
class Step:
    """A transform in a part's chain, and the part `before` it. As a `flag` it only says where values are missing."""

    transform: Transform
    before: Part
    flag: bool = False


@dataclass(frozen=True, kw_only=True)
class Part:
    """A column of an input as far as it has come. `shape` is one example's."""

    name: str
    source: str
    kind: str
    """numeric, category, text or image."""
    shape: tuple[int, ...]
    values: tuple[str, ...] | tuple[int, ...] | None = None
    """The categories, or the distinct integers of a numeric column if a profile lists them."""
    missing: int = 0
    encoded: bool = False
    """Made from categories: steps without `columns` leave it alone."""
    steps: tuple[Step, ...] = ()

    def then(self, transform: Transform, **changes: Any) -> Part:
        """This part after one more step."""
        return replace(self, steps=(*self.steps, Step(transform, self)), **changes)

    @property
    def origin(self) -> Part:
        """The column before its first step."""
        return self.steps[0].before if self.steps else self

    @property
    def textual(self) -> bool:
        """Whether it is the texts of the dataset, before any step."""
        return self.kind in ("text", "category") and not self.steps

    @property
    def described(self) -> str:
        """For messages."""
        return {"numeric": "numbers", "category": "categories", "text": "free text",
                "image": "pictures"}[self.kind]


def as_text(part: Part, **changes: Any) -> Part:
    """A column of categories or texts as texts: what is predicted for may be a text that no row has."""
    return replace(part, kind="text", **changes)


def columns_option() -> Any:
    """The option that every transform has."""
    reader: Reader = optional(sequence(text(limits.MAX_COLUMN_NAME), 1, limits.MAX_COLUMNS))
    return option(reader, default=None, doc="the columns it is applied to; default: all it can be")


@dataclass(frozen=True)
class Sample:
    """An input of a transform and what must come out: for the conformance tests.

    `training` are the rows it is fitted on, `values` those it is applied to. Categories are given as codes of
    `part.values`.
    """

    options: Mapping[str, Any]
    part: Part
    training: Any
    values: Any
    expected: Any
    flags: Any = field(default=None)
    """Of the part that says where values were missing, if the step adds one."""


@dataclass(frozen=True, kw_only=True)
class Transform(ABC):
    """A registered transform."""

    columns: tuple[str, ...] | None = columns_option()

    type_name: ClassVar[str]

    @abstractmethod
    def accepts(self, part: Part) -> str | None:
        """What it expects instead, or None if it can be applied."""

    def chooses(self, part: Part) -> bool:
        """Whether it is applied to this part when it names no columns."""
        return not part.encoded and self.accepts(part) is None

    @abstractmethod
    def resolve(self, part: Part) -> tuple[Part, ...]:
        """The part, or parts, that it becomes."""

    @abstractmethod
    def fit(self, part: Part, chunks: Chunks) -> dict[str, Any]:
        """The state (JSON) for a part as it comes into this step. Raises DataError."""

    @classmethod
    @abstractmethod
    def apply(cls, values: Array, state: State) -> Array:
        """New values (rows, *shape) from old ones."""

    @classmethod
    def affine(cls, state: State) -> tuple[Array, Array] | None:
        """(scale, offset), each of shape (1,) or (channels,), if that is all it does."""
        return None

    @classmethod
    @abstractmethod
    def samples(cls) -> tuple[Sample, ...]:
        """Examples with their results."""


def flags(values: Array) -> Array:
    """1 where a value is missing, else 0."""
    missing = values == MISSING_CODE if values.dtype.kind == "i" else np.isnan(values)
    return missing.astype(np.float64)


def to_codes(values: Array, state: State) -> Array:
    """Codes of categories as they are, or those of integers from the state's sorted `values`."""
    if values.dtype.kind == "i":
        return values
    known = np.asarray(state["values"], np.float64)
    places = np.searchsorted(known, values).clip(0, len(known) - 1)
    codes = np.where(known[places] == values, places, UNKNOWN_CODE)
    return np.where(np.isnan(values), MISSING_CODE, codes).astype(np.int32)
