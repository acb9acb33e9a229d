"""numpy's .npy: a single array, one row for each example."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine import registry
from engine.data import limits
from engine.data.arrays import check_names, write_arrays
from engine.data.format import Contents, Format, ProgressFunction, Sample, Writer
from engine.data.npy import MAGIC, open_array
from engine.options import option, text


@registry.register("format", "npy")
@dataclass(frozen=True, kw_only=True)
class Npy(Format):
    """A single numpy array (numpy.save), one row for each example; one column, without a target."""

    name: str = option(text(limits.MAX_COLUMN_NAME), default="x", doc="what the column is called")

    @classmethod
    def may_begin(cls, start: bytes, suffix: str) -> bool:
        """Whether the file begins as numpy's files do."""
        return start.startswith(MAGIC)

    def read(self, source: Path, writer: Writer, progress: ProgressFunction) -> Contents:
        """The array's header must describe the file exactly."""
        check_names([self.name])
        return write_arrays({self.name: open_array(source, "the file")}, writer, progress, target=None, classes=None)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """A matrix of numbers."""
        buffer = io.BytesIO()
        np.save(buffer, np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3), allow_pickle=False)
        return (Sample(name="matrix", filename="x.npy", content=buffer.getvalue, splits={"train": 4},
                       columns={"features": "number"}, options={"name": "features"}),)
