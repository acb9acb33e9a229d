"""safetensors: eight bytes of length, a JSON header, and the tensors' bytes, which are memory-mapped.

Read here and not by the package of that name, because that one accepts what must be refused (any name, headers of up to
100 MB) and says little about the header's other faults. Tests read each one's files with the other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from engine.durable import replacing
from engine.errors import WeightsError, show
from engine.formats import base, documents
from engine.formats.base import Tensor, Tensors, WeightsFile, WeightsFormat, check_name, little_endian
from engine.formats.metadata import KEY, Metadata
from engine.registry import register

DTYPES = {"F64": "<f8", "I64": "<i8", "U64": "<u8", "F32": "<f4", "I32": "<i4", "U32": "<u4", "F16": "<f2",
          "I16": "<i2", "U16": "<u2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1"}
_NAMES = {np.dtype(code): name for name, code in DTYPES.items()}
_LENGTH_BYTES = 8
_ALIGNMENT = 8


@register("weights_format", "safetensors")
@dataclass(frozen=True, kw_only=True)
class Safetensors(WeightsFormat):
    """Hugging Face's format; what a trained model is stored in, and what is downloaded by default."""

    extension = ".safetensors"
    media_type = "application/octet-stream"

    def recognises(self, start: bytes) -> bool:
        return len(start) > _LENGTH_BYTES and start[_LENGTH_BYTES:_LENGTH_BYTES + 1] == b"{"

    def read(self, path: Path) -> WeightsFile:
        tensors, texts = read_tensors(path)
        return WeightsFile(tensors, Metadata.from_text(texts[KEY]) if KEY in texts else None)

    def write(self, path: Path, tensors: Tensors, metadata: Metadata) -> None:
        write_tensors(path, tensors, {KEY: metadata.to_text()})


def write_tensors(path: Path, tensors: Tensors, texts: Mapping[str, str]) -> None:
    """Write tensors and texts. Wider types come first, so that every tensor starts at a multiple of its item's size."""
    ready = {check_name(name): little_endian(tensor) for name, tensor in tensors.items()}
    for name, tensor in ready.items():
        if tensor.dtype not in _NAMES:
            raise WeightsError(f"tensor {name}: expected booleans, integers or floats, received {tensor.dtype}")
    order = sorted(ready, key=lambda name: (-ready[name].itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(sorted(texts.items()))} if texts else {}
    position = 0
    for name in order:
        tensor = ready[name]
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [position, position + tensor.nbytes]}
        position += tensor.nbytes
    encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    encoded += b" " * (-len(encoded) % _ALIGNMENT)
    if len(encoded) > documents.MAX_BYTES:
        raise WeightsError(f"the header: expected at most {documents.MAX_BYTES} bytes, received {len(encoded)}")
    with replacing(path) as file:
        file.write(len(encoded).to_bytes(_LENGTH_BYTES, "little") + encoded)
        for name in order:
            file.write(ready[name].reshape(-1).view(np.uint8).data)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors (read-only views into the mapped file) and texts; WeightsError for whatever is not strictly so."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header, start = _header(file, size)
    texts = _texts(header.pop("__metadata__", {}))
    if len(header) > base.MAX_TENSORS:
        raise WeightsError(f"expected at most {base.MAX_TENSORS} tensors, received {len(header)}")
    places = sorted((_place(check_name(name), entry, size - start) for name, entry in header.items()),
                    key=lambda place: (place.begin, place.end))
    position = 0
    for place in places:
        if place.begin != position:
            fault = "overlaps the one before" if place.begin < position else "leaves a gap after the one before"
            raise WeightsError(f"tensor {show(place.name)}: expected its bytes from {position} on, received "
                               f"{place.begin}: it {fault}")
        position = place.end
    if position != size - start:
        raise WeightsError(f"expected {position} bytes of tensors as the header says, received {size - start}")
    data = np.memmap(path, np.uint8, "r")
    return {place.name: _view(data, start, place) for place in places}, texts


@dataclass(frozen=True)
class _Place:
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


def _header(file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if size < _LENGTH_BYTES or length > size - _LENGTH_BYTES:
        raise WeightsError(f"the file is truncated: expected a header of {length} bytes, received "
                           f"{max(0, size - _LENGTH_BYTES)} bytes")
    if length > documents.MAX_BYTES:
        raise WeightsError(f"the header: expected at most {documents.MAX_BYTES} bytes, received {length}")
    header = documents.parse(file.read(length), "the header")
    if not isinstance(header, dict):
        raise WeightsError(f"the header: expected an object, received {show(header)}")
    return header, _LENGTH_BYTES + length


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise WeightsError(f"__metadata__: expected an object of strings, received {show(value)}")
    return value


def _place(name: str, entry: Any, available: int) -> _Place:
    where = f"tensor {show(name)}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise WeightsError(f"{where}: expected dtype, shape and data_offsets, received {show(entry)}")
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in DTYPES:
        raise WeightsError(f"{where}: expected a dtype among {', '.join(DTYPES)}, received {show(entry['dtype'])}")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _sizes(shape) or len(shape) > base.MAX_RANK:
        raise WeightsError(f"{where}: expected at most {base.MAX_RANK} sizes of at least 0, received {show(shape)}")
    if not _sizes(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1] <= available:
        raise WeightsError(f"{where}: expected two rising offsets of at most {available}, received {show(offsets)}")
    dtype = np.dtype(DTYPES[entry["dtype"]])
    expected = math.prod(shape) * dtype.itemsize
    if offsets[1] - offsets[0] != expected:
        raise WeightsError(f"{where}: expected {show(expected)} bytes for shape {show(shape)} of {dtype}, "
                           f"received {offsets[1] - offsets[0]}")
    return _Place(name, dtype, tuple(shape), offsets[0], offsets[1])


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 2**63 for size in value)


def _view(data: Tensor, start: int, place: _Place) -> Tensor:
    section = data[start + place.begin:start + place.end]
    if place.dtype == np.bool_ and section.size and section.max() > 1:
        raise WeightsError(f"tensor {show(place.name)}: expected bytes 0 and 1, received {section.max()}")
    if (start + place.begin) % place.dtype.itemsize:
        # Only foreign files are laid out like this; compute kernels need aligned numbers.
        section = section.copy()
        section.flags.writeable = False
    return section.view(np.ndarray).view(place.dtype).reshape(place.shape)
