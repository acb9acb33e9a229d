"""npz: a zip of .npy arrays, for numpy's own `np.load`; the metadata is the entry `stoker.json`."""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.data.archive import Archive, Entry, is_archive
from engine.durable import replacing
from engine.errors import DataError, WeightsError, show
from engine.formats import documents
from engine.formats.base import (
    MAX_RANK,
    MAX_TENSORS,
    Tensor,
    Tensors,
    WeightsFile,
    WeightsFormat,
    check_name,
    little_endian,
)
from engine.formats.metadata import KEY, Metadata
from engine.registry import register

METADATA_ENTRY = f"{KEY}.json"
_SUFFIX = ".npy"
_MAX_HEADER_BYTES = 4096
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# The first moment that a zip archive can tell: archives of equal content then have equal bytes.
_TIME = (1980, 1, 1, 0, 0, 0)
_MODE = 0o644


@register("weights_format", "npz")
@dataclass(frozen=True, kw_only=True)
class Npz(WeightsFormat):
    """numpy's archive of arrays: `np.load(file)["dense/kernel"]`."""

    extension = ".npz"
    media_type = "application/zip"

    def recognises(self, start: bytes) -> bool:
        return is_archive(start)

    def read(self, path: Path) -> WeightsFile:
        try:
            with Archive(path) as archive:
                return _read(archive)
        except DataError as error:
            raise WeightsError(str(error)) from None

    def write(self, path: Path, tensors: Tensors, metadata: Metadata) -> None:
        with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(zip_entry(METADATA_ENTRY), metadata.to_text())
            for name in sorted(tensors):
                array = little_endian(tensors[name])
                info = zip_entry(check_name(name) + _SUFFIX)
                with archive.open(info, "w", force_zip64=array.nbytes >= 1 << 31) as entry:
                    np.lib.format.write_array(entry, array, version=(1, 0), allow_pickle=False)


def zip_entry(name: str) -> zipfile.ZipInfo:
    """An entry whose bytes depend on nothing but its name and content."""
    info = zipfile.ZipInfo(name, _TIME)
    info.external_attr = _MODE << 16
    # Otherwise the bytes would depend on the system that writes them.
    info.create_system = 3
    return info


def _read(archive: Archive) -> WeightsFile:
    if len(archive.entries) > MAX_TENSORS:
        raise WeightsError(f"expected at most {MAX_TENSORS} tensors, received {len(archive.entries)}")
    if any(entry.name.endswith((".pkl", ".pickle")) for entry in archive.entries):
        raise WeightsError("expected arrays, received a pickle (a PyTorch file?), which is never read")
    tensors: dict[str, Tensor] = {}
    metadata = None
    for entry in archive.entries:
        if entry.name == METADATA_ENTRY:
            metadata = Metadata.from_text(archive.read(entry, documents.MAX_BYTES))
        elif entry.name.endswith(_SUFFIX):
            tensors[check_name(entry.name.removesuffix(_SUFFIX))] = _array(archive, entry)
        else:
            raise WeightsError(f"expected entries '<layer>/<variable>.npy' and {METADATA_ENTRY}, "
                               f"received {show(entry.name)}")
    return WeightsFile(tensors, metadata)


def _array(archive: Archive, entry: Entry) -> Tensor:
    data = archive.read(entry, entry.size)
    where = f"entry {show(entry.name)}"
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        shape, fortran_order, dtype = _HEADERS[version](file, max_header_size=_MAX_HEADER_BYTES)
    except (ValueError, KeyError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise WeightsError(f"{where}: expected an .npy array, received something else") from None
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or dtype.subdtype is not None:
        raise WeightsError(f"{where}: expected booleans, integers or floats, received {show(str(dtype))}")
    if len(shape) > MAX_RANK or any(size < 0 for size in shape):
        raise WeightsError(f"{where}: expected at most {MAX_RANK} sizes of at least 0, received {show(shape)}")
    # Compared before numpy sees the shape: an entry of 80 bytes may claim 65536 x 65536 numbers.
    expected, received = math.prod(shape) * dtype.itemsize, len(data) - file.tell()
    if expected != received:
        raise WeightsError(f"{where}: expected {show(expected)} bytes for shape {show(shape)} of {dtype}, "
                           f"received {received}")
    flat = np.frombuffer(data, dtype, offset=file.tell())
    native = np.asarray(flat.reshape(shape, order="F" if fortran_order else "C"), dtype.newbyteorder("="), order="C")
    native.flags.writeable = False
    return native
