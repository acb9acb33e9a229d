"""numpy's .npz: an archive of named arrays, one row for each example in each of them."""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine import registry
from engine.data import limits
from engine.data.archive import Archive, is_archive, shown
from engine.data.arrays import check_names, write_arrays
from engine.data.format import Contents, Format, ProgressFunction, Sample, Writer
from engine.data.npy import START_BYTES, Array, open_array, read_header
from engine.errors import DataError
from engine.options import option, optional, sequence, text


@registry.register("format", "npz")
@dataclass(frozen=True, kw_only=True)
class Npz(Format):
    """numpy arrays by name (numpy.savez), a column for each; x_train, x_test … give splits. Never pickled objects.

    uint8 arrays (rows, height, width) or (rows, height, width, 1, 3 or 4) are pictures.
    """

    target: str | None = option(optional(text()), default=None,
                                doc="the target's array; default: y, label, target or classes if there is one")
    classes: tuple[str, ...] | None = option(optional(sequence(text(), 1, limits.MAX_CLASSES)), default=None,
                                             doc="names of the classes that the target's integers 0, 1, … stand for")

    @classmethod
    def may_begin(cls, start: bytes, suffix: str) -> bool:
        """A zip archive, whatever it is called."""
        return is_archive(start)

    @classmethod
    def matches(cls, source: Path, start: bytes, suffix: str) -> bool:
        """A zip archive that is called .npz or that holds nothing but .npy entries."""
        if not cls.may_begin(start, suffix):
            return False
        if suffix == ".npz":
            return True
        with Archive(source) as archive:
            return bool(archive.entries) and all(entry.name.endswith(".npy") for entry in archive.entries)

    def read(self, source: Path, writer: Writer, progress: ProgressFunction) -> Contents:
        """Every header is checked against its entry's declared size before anything is unpacked to disk."""
        with Archive(source) as archive, tempfile.TemporaryDirectory(dir=writer.folder) as scratch:
            if not archive.entries:
                raise DataError("no_examples", "expected arrays, received an empty archive")
            for entry in archive.entries:
                if not entry.name.endswith(".npy"):
                    raise DataError("npz_entry", "expected nothing but .npy entries", where=shown(entry))
            check_names([entry.name.removesuffix(".npy") for entry in archive.entries])
            for entry in archive.entries:
                start = b""
                for chunk in archive.chunks(entry):
                    start += chunk
                    if len(start) >= START_BYTES:
                        break
                read_header(start[:START_BYTES], entry.size, shown(entry))
            arrays: dict[str, Array] = {}
            for number, entry in enumerate(archive.entries):
                path = Path(scratch) / f"{number}.npy"
                with path.open("wb") as file:
                    for chunk in archive.chunks(entry):
                        file.write(chunk)
                arrays[entry.name.removesuffix(".npy")] = open_array(path, shown(entry))
            return write_arrays(arrays, writer, progress, target=self.target, classes=self.classes)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """A table with a target, pictures with given splits, and arrays in big-endian and Fortran order."""
        rng = np.random.default_rng(0)
        table = {"x": rng.normal(size=(7, 3)), "y": np.arange(7) % 3}
        pictures = {"x_train": np.zeros((5, 4, 4), np.uint8), "y_train": np.arange(5, dtype=np.uint8),
                    "x_test": np.ones((2, 4, 4), np.uint8), "y_test": np.arange(2, dtype=np.uint8)}
        odd = {"a": np.asfortranarray(rng.normal(size=(6, 2)).astype(np.float32)), "b": np.arange(6, dtype=">i4"),
               "c": np.arange(6) % 2 == 0}
        return (Sample(name="table", filename="table.npz", content=lambda: _savez(table), splits={"train": 7},
                       columns={"x": "number", "y": "integer"}, options={"classes": ["low", "middle", "high"]}),
                Sample(name="pictures", filename="pictures.npz", content=lambda: _savez(pictures),
                       splits={"train": 5, "test": 2}, columns={"x": "image", "y": "integer"}),
                Sample(name="orders", filename="odd.zip", content=lambda: _savez(odd), splits={"train": 6},
                       columns={"a": "number", "b": "integer", "c": "boolean"}))


def _savez(arrays: dict[str, Array]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
