""".npy files: a header parser of our own that can only ever give plain numbers, and a writer that appends.

Format: numpy's NEP 1, versions 1.0 to 3.0. numpy.lib.format is not used for reading, so that no header can ask for
pickle, for a dtype with Python objects, or for more memory than the file has bytes.
"""

from __future__ import annotations

import ast
import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.data import limits
from engine.errors import DataError, show

MAGIC = b"\x93NUMPY"
START_BYTES = 12 + limits.MAX_HEADER_BYTES
"""The beginning of a file that is enough to read any accepted header."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Header:
    """What an array's bytes mean; they begin at `offset`."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool
    offset: int


def read_header(start: bytes, total_bytes: int, where: str) -> Header:
    """The header of a file of `total_bytes` that begins with `start`; its data must fill the file exactly."""
    if start[:6] != MAGIC:
        raise DataError("array_malformed", "expected an .npy array, received other bytes", where=where)
    version = tuple(start[6:8])
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise DataError("array_malformed", f"expected .npy version 1.0, 2.0 or 3.0, received {show(version)}",
                        where=where)
    width = 2 if version == (1, 0) else 4
    length = int.from_bytes(start[8:8 + width], "little")
    offset = 8 + width + length
    if length > limits.MAX_HEADER_BYTES:
        raise DataError("array_header_too_large", f"expected a header of at most {limits.MAX_HEADER_BYTES} bytes, "
                        f"received {length}", where=where)
    if offset > min(len(start), total_bytes):
        raise DataError("array_truncated", "expected a whole header, received its beginning", where=where)
    dtype, shape, fortran_order = _meaning(start[8 + width:offset].decode("latin-1"), where)
    expected = math.prod(shape) * dtype.itemsize
    received = total_bytes - offset
    if expected > received:
        raise DataError("array_truncated", f"expected {expected} bytes for shape {show(shape)} of {dtype}, "
                        f"received {received}", where=where)
    if expected < received:
        raise DataError("array_trailing_bytes", f"expected {expected} bytes for shape {show(shape)} of {dtype}, "
                        f"received {received}", where=where)
    return Header(dtype, shape, fortran_order, offset)


def _meaning(text: str, where: str) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    try:
        header = ast.literal_eval(text.strip())
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        header = None
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise DataError("array_malformed", "expected a header with descr, fortran_order and shape", where=where)
    shape, fortran_order = header["shape"], header["fortran_order"]
    if not isinstance(fortran_order, bool):
        raise DataError("array_malformed", f"expected fortran_order true or false, received {show(fortran_order)}",
                        where=where)
    return _dtype(header["descr"], where), _shape(shape, where), fortran_order


def _dtype(descr: object, where: str) -> np.dtype[Any]:
    if isinstance(descr, str) and re.fullmatch(r"[<>=|]?(b1|[iu][1248]|f[248])", descr):
        return np.dtype(descr)
    if isinstance(descr, str) and descr.lstrip("<>=|")[:1] == "O":
        raise DataError("array_objects", "expected numbers, received Python objects (pickle), which are never read",
                        where=where)
    kinds = {"M": "dates", "m": "time differences", "c": "complex numbers", "U": "texts", "S": "bytes",
             "V": "raw bytes"}
    received = "a structured type" if isinstance(descr, (list, tuple)) else show(descr)
    if isinstance(descr, str):
        received = kinds.get(descr.lstrip("<>=|")[:1], received)
    advice = ""
    if received in ("texts", "bytes"):
        advice = "; for a target of texts, store integers 0, 1, … and give their names in the option classes"
    raise DataError("array_dtype", f"expected booleans, integers or floats, received {received}{advice}", where=where)


def _shape(shape: object, where: str) -> tuple[int, ...]:
    good = isinstance(shape, tuple) and all(type(size) is int and size >= 0 for size in shape)
    if not isinstance(shape, tuple) or not good or len(shape) > limits.MAX_RANK:
        raise DataError("array_shape", f"expected at most {limits.MAX_RANK} sizes, received {show(shape)}", where=where)
    if not shape:
        raise DataError("array_shape", "expected one row for each example, received a single number", where=where)
    if shape[0] == 0:
        raise DataError("no_examples", "expected at least one row, received none", where=where)
    if 0 in shape:
        raise DataError("array_shape", f"expected sizes of at least 1, received {show(shape)}", where=where)
    return shape


def open_array(path: Path, where: str) -> Array:
    """The array of an .npy file, memory-mapped and read-only."""
    with path.open("rb") as file:
        header = read_header(file.read(START_BYTES), path.stat().st_size, where)
    order = "F" if header.fortran_order else "C"
    return np.memmap(path, header.dtype, "r", header.offset, header.shape, order)  # type: ignore[call-overload,no-any-return]


def row_chunks(rows: int, row_bytes: int) -> Iterator[slice]:
    """Slices of at most `limits.CHUNK_BYTES` (but at least one row) that cover all rows."""
    step = max(1, limits.CHUNK_BYTES // max(1, row_bytes))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


class ArrayFile:
    """An .npy file (C order, little endian) that is written from its first row to its last."""

    def __init__(self, path: Path, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> None:
        self.name = path.name
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.shape = shape
        self._left = math.prod(shape)
        header = f"{{'descr': {self.dtype.str!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
        padding = -(10 + len(header) + 1) % 64
        self._file = path.open("wb")
        self._digest = hashlib.sha256()
        self._bytes = 0
        length = len(header) + padding + 1
        self._write(MAGIC + b"\x01\x00" + length.to_bytes(2, "little") + header.encode() + b" " * padding + b"\n")

    def append(self, rows: Array) -> None:
        """Write further rows; their type must be what the file has, up to the order of bytes."""
        self._left -= rows.size
        self._write(np.ascontiguousarray(rows, self.dtype).tobytes())

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._bytes += len(data)

    def close(self) -> dict[str, Any]:
        """Finish the file: its entry in the manifest's `files`."""
        self._file.close()
        if self._left:
            raise AssertionError(f"{self.name}: {self._left} numbers were not written")
        return {"name": self.name, "bytes": self._bytes, "sha256": self._digest.hexdigest()}

    def abandon(self) -> None:
        """Close without a claim that the file is whole."""
        self._file.close()
