"""What a dataset format is: it reads an uploaded file and writes columns.

Input: one file. Output: .npy files whose rows are ordered by split (train, validation, test). Table columns of one
dtype share a file, so that a table of ten thousand columns is three files and not ten thousand.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from engine.data import limits
from engine.data.npy import ArrayFile
from engine.errors import DataError

SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {"train": "train", "training": "train", "validation": "validation", "valid": "validation",
               "val": "validation", "test": "test", "testing": "test"}
"""What a folder, an array's suffix or a split column may call a split."""

ProgressFunction = Callable[[int, int], None]
"""Called now and then with the work done and the whole, in a unit of the format's choice."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a dataset, `shape` being one example's. A category is its place in `categories`, or -1 if missing."""

    name: str
    type: str
    """image, integer, number, boolean, category or text (free text: too many values for categories)."""
    shape: tuple[int, ...] = ()
    dtype: str
    file: str | None
    index: int | None = None
    """Its place on the last axis of a file that it shares."""
    categories: tuple[str, ...] | None = None
    texts: str | None = None
    """The file of a text column's bytes; `file` then says where each row's end (int64)."""

    def to_json(self) -> dict[str, Any]:
        """Its entry in the manifest's `features`."""
        entry = {"name": self.name, "type": self.type, "shape": list(self.shape), "dtype": self.dtype,
                 "file": self.file, "index": self.index}
        if self.texts is not None:
            entry["texts"] = self.texts
        return entry if self.categories is None else {**entry, "categories": list(self.categories)}


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a format found. `splits` counts the rows of each split that has any."""

    columns: list[Column]
    splits: dict[str, int]
    target: str | None = None
    classes: tuple[str, ...] | None = None
    warnings: list[str] = field(default_factory=list)
    spread_preview: bool = False
    """Rows are ordered by class, so the first ones would all be of one."""

    @property
    def examples(self) -> int:
        """Rows of all splits together."""
        return sum(self.splits.values())


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A small file of a format and what must be found in it: for the conformance tests."""

    name: str
    filename: str
    content: Callable[[], bytes]
    options: Mapping[str, Any] = field(default_factory=dict)
    splits: Mapping[str, int]
    columns: Mapping[str, str]
    """Name to type."""


class Writer:
    """Makes the dataset's files in one folder, under names that no user chose."""

    def __init__(self, folder: Path, upload_bytes: int) -> None:
        self.folder = folder
        self._allowed = min(limits.MAX_STORED_BYTES, max(limits.FREE_DECODED_BYTES, limits.MAX_DECODED * upload_bytes))
        self._open: list[ArrayFile] = []
        self._bytes = 0

    def file(self, name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> ArrayFile:
        """A new array file `<name>.npy` of `shape` (rows, …)."""
        self._bytes += math.prod(shape) * np.dtype(dtype).itemsize
        if self._bytes > self._allowed:
            raise DataError("dataset_too_large", f"expected at most {self._allowed} bytes of decoded columns, "
                            f"received {self._bytes}")
        array = ArrayFile(self.folder / f"{name}.npy", dtype, shape)
        self._open.append(array)
        return array

    def finish(self) -> list[dict[str, Any]]:
        """Close every file: the manifest's `files`."""
        return [array.close() for array in self._open]

    def abandon(self) -> None:
        """Close every file after a failure."""
        for array in self._open:
            array.abandon()


class Format(ABC):
    """A registered format: a frozen dataclass of options."""

    type_name: ClassVar[str]

    @classmethod
    @abstractmethod
    def may_begin(cls, start: bytes, suffix: str) -> bool:
        """Whether a file that begins with `start` and whose name ends with `suffix` may be of this format."""

    @classmethod
    def matches(cls, source: Path, start: bytes, suffix: str) -> bool:
        """Whether it is; a format whose files do not tell by their beginning looks further."""
        return cls.may_begin(start, suffix)

    @abstractmethod
    def read(self, source: Path, writer: Writer, progress: ProgressFunction) -> Contents:
        """Write the file's columns. Raises DataError."""

    @classmethod
    @abstractmethod
    def samples(cls) -> tuple[Sample, ...]:
        """Files that the conformance tests ingest."""
