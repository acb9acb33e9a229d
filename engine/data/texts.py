"""Columns of free text: UTF-8 bytes one after the other, and where each row's end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.data.npy import Array, ArrayFile

BEFORE = 1
"""Bytes before the first text: no file is without any."""


class Texts:
    """A column (rows,) that gives numpy arrays of str; a missing text is empty."""

    dtype = np.dtype("str")

    def __init__(self, ends: Array, data: Array) -> None:
        self._ends, self._data = ends, data
        self.shape = ends.shape

    @property
    def size(self) -> int:
        """Rows."""
        return len(self)

    @property
    def row_bytes(self) -> Array:
        """The size of each text."""
        return np.diff(self._ends, prepend=BEFORE)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, rows: Any) -> Any:
        """One text, or an array of those that a slice or an array of numbers picks."""
        if isinstance(rows, (int, np.integer)):
            return self._text(range(len(self))[rows])
        return texts(self._text(int(row)) for row in np.arange(len(self))[rows])

    def _text(self, row: int) -> str:
        start = int(self._ends[row - 1]) if row else BEFORE
        return self._data[start:int(self._ends[row])].tobytes().decode()


class Spelled:
    """A column of categories' codes as their texts."""

    dtype = np.dtype("str")

    def __init__(self, codes: Array, categories: Sequence[str]) -> None:
        self._codes, self._texts = codes, texts([*categories, ""])

    def __len__(self) -> int:
        return len(self._codes)

    def __getitem__(self, rows: Any) -> Any:
        """As Texts does: the last text stands for codes below 0."""
        codes = np.asarray(self._codes[rows])
        return self._texts[np.where(codes < 0, len(self._texts) - 1, codes)]


class TextFile:
    """Writes a column: `append` gives the ends of further rows."""

    def __init__(self, file: ArrayFile) -> None:
        self._file = file
        self._end = BEFORE
        file.append(np.zeros(BEFORE, np.uint8))

    def append(self, values: Sequence[str]) -> Array:
        """int64 (rows,)."""
        encoded = [value.encode() for value in values]
        self._file.append(np.frombuffer(b"".join(encoded), np.uint8))
        ends = self._end + np.cumsum([len(data) for data in encoded], dtype=np.int64)
        self._end = int(ends[-1]) if len(ends) else self._end
        return ends


def texts(values: Any) -> Array:
    """An array of str objects."""
    listed = list(values)
    array = np.empty(len(listed), object)
    array[:] = listed
    return array
