"""The type of a column of texts: boolean, integer, number, category or free text; and its values as numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.data import limits
from engine.data.arrays import LARGEST
from engine.data.npy import Array
from engine.data.rows import NUMBER
from engine.errors import DataError, show

TYPES = ("integer", "number", "boolean", "category", "text")
MISSING = ("", "?", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "<NA>")
BOOLEANS = {"false": 0.0, "true": 1.0}

# One match decides for a whole block joined by NUL (which no field may hold); possessive, so that none can run away.
_INFINITY = r"[+-]?(?i:inf(?:inity)?)"
_BOOLEANS = re.compile(r"(?:(?i:true|false)\0)*+")
_INTEGERS = re.compile(r"(?:[+-]?[0-9]{1,18}\0)*+")
_NUMBERS = re.compile(rf"(?:(?:{NUMBER.pattern}|{_INFINITY})\0)*+")


@dataclass
class Budget:
    """The characters that the category columns of a table may have left."""

    characters: int = limits.MAX_CATEGORY_CHARACTERS


class Inference:
    """Reads a column's values, block by block, and then knows its type."""

    def __init__(self, missing_texts: frozenset[str], wanted: str | None, budget: Budget) -> None:
        self._missing_texts = missing_texts
        self._wanted = wanted
        self._budget = budget
        self._boolean = self._integer = self._number = True
        self._distinct: set[str] | None = set()
        self.rows = 0
        self.bytes = 0
        """Of the present values in UTF-8."""
        self.missing = 0
        self.late = False
        """Numbers came before the first text and were not collected: `collect` must see all values again."""

    def feed(self, values: Sequence[str]) -> None:
        """Take the next values into account."""
        present = values
        if not self._missing_texts.isdisjoint(values):
            present = [value for value in values if value not in self._missing_texts]
        earlier = self.rows - self.missing
        self.rows += len(values)
        self.missing += len(values) - len(present)
        joined = "\0".join([*present, ""])
        self.bytes += len(joined.encode()) - len(present)
        self._boolean = self._boolean and _BOOLEANS.fullmatch(joined) is not None
        self._integer = self._integer and _INTEGERS.fullmatch(joined) is not None
        self._number = self._number and (self._integer or _NUMBERS.fullmatch(joined) is not None)
        if self._is_text:
            self.late = self.late or (not self._distinct and earlier > 0)
            self.collect(values)

    @property
    def _is_text(self) -> bool:
        """As far as is known; distinct numbers are not collected, since a table may have a hundred million."""
        return self._wanted == "category" or (self._wanted is None and not (self._boolean or self._number))

    def collect(self, values: Sequence[str]) -> None:
        """Add to the categories."""
        if self._distinct is None:
            return
        new = set(values) - self._missing_texts - self._distinct
        self._distinct |= new
        self._budget.characters -= sum(map(len, new))
        if len(self._distinct) > limits.MAX_CLASSES or max(map(len, new), default=0) > limits.MAX_TEXT \
                or self._budget.characters < 0:
            self._budget.characters += sum(map(len, self._distinct))
            self._distinct = None

    @property
    def type(self) -> str:
        """The narrowest type that holds every value; what was asked for comes first."""
        if self._wanted is not None:
            return "text" if self._wanted == "category" and self._distinct is None else self._wanted
        if self.missing == self.rows:
            return "number"
        narrow = {"boolean": self._boolean, "integer": self._integer, "number": self._number}
        return next((name for name, holds in narrow.items() if holds),
                    "text" if self._distinct is None else "category")

    @property
    def holds_integers(self) -> bool:
        """Whether int() may read every present value."""
        return self._integer

    @property
    def holds_numbers(self) -> bool:
        """Whether float() may read every present value."""
        return self._number

    @property
    def dtype(self) -> str:
        """How the column is stored: NaN stands for a missing number, -1 for a missing category."""
        if self.type in ("category", "text"):
            return "int32" if self.type == "category" else "str"
        if self.type == "number" or self.missing:
            return "float64"
        return "bool" if self.type == "boolean" else "int64"

    @property
    def categories(self) -> tuple[str, ...] | None:
        """The distinct texts of a category column, sorted."""
        return tuple(sorted(self._distinct or ())) if self.type == "category" else None


class Conversion:
    """A column's texts to its stored values."""

    def __init__(self, name: str, inference: Inference, missing_texts: frozenset[str]) -> None:
        self._name = name
        self._type, self._dtype = inference.type, inference.dtype
        self._missing_texts = missing_texts
        self._plain = ((inference.type == "integer" and inference.holds_integers)
                       or (inference.type == "number" and inference.holds_numbers))
        self._codes = {text: code for code, text in enumerate(inference.categories or ())}

    def __call__(self, values: Sequence[str], lines: Sequence[int]) -> Array:
        """The values as an array of the column's dtype; `lines` serve the messages."""
        if self._type == "category":
            return np.array([self._codes.get(value, -1) for value in values], np.int32)
        if self._plain and self._dtype == "int64":
            return np.array(list(map(int, values)), np.int64)
        if self._plain and self._dtype == "float64":
            missing = self._missing_texts
            numbers = np.array(list(map(float, values)) if missing.isdisjoint(values) else
                               [math.nan if value in missing else float(value) for value in values], np.float64)
            if not (np.abs(numbers) > LARGEST).any():
                return numbers  # else the slow way names the line
        numbers = np.array([self._number(value, line) for value, line in zip(values, lines, strict=True)], np.float64)
        return numbers.astype(self._dtype)

    def _number(self, value: str, line: int) -> float:
        if value in self._missing_texts:
            return math.nan
        number = BOOLEANS.get(value.lower()) if self._type == "boolean" else _parse(value)
        where = f"line {line}, column {show(self._name)}"
        if number is None or (self._type == "integer" and not number.is_integer() and math.isfinite(number)):
            raise DataError("csv_value", f"expected {_article(self._type)}, received {show(value)}", where=where)
        if abs(number) > LARGEST:
            raise DataError("not_finite", "expected a number within float32's range, received infinity or more",
                            where=where)
        return number


def _parse(value: str) -> float | None:
    """As the patterns above have it: float() itself takes underscores and other scripts' digits."""
    return float(value) if NUMBER.fullmatch(value) or re.fullmatch(_INFINITY, value) else None


def _article(type_name: str) -> str:
    return {"integer": "an integer", "number": "a number", "boolean": "true or false"}[type_name]
