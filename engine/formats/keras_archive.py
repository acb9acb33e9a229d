"""`.keras`: what Keras 3's `model.save` writes and `keras.models.load_model` reads.

A zip of `metadata.json`, `config.json` (the model's `to_json()`), `model.weights.h5`, and here `stoker.json` besides.
"""

from __future__ import annotations

import io
import json
import secrets
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.data.archive import Archive, Entry, is_archive
from engine.definition.model import parse_model
from engine.durable import replacing
from engine.errors import DataError, WeightsError, show
from engine.formats import documents
from engine.formats.base import Tensors, WeightsFile, WeightsFormat
from engine.formats.keras_config import KerasModel
from engine.formats.keras_variables import read_variables, write_variables
from engine.formats.metadata import KEY, Metadata
from engine.formats.npz import zip_entry
from engine.registry import register

KERAS, CONFIG, WEIGHTS, OWN = "metadata.json", "config.json", "model.weights.h5", f"{KEY}.json"
KERAS_VERSION = "3.15.1"
"""The version whose configs are written."""
_NAME_AT = 30
_COPY_BYTES = 1 << 20
MAX_WEIGHTS_BYTES = 4 << 30


@register("weights_format", "keras")
@dataclass(frozen=True, kw_only=True)
class KerasArchive(WeightsFormat):
    """A whole Keras 3 model: `keras.models.load_model(file)`."""

    extension = ".keras"
    media_type = "application/zip"
    whole_model = True

    def recognises(self, start: bytes) -> bool:
        names = (name.encode() for name in (KERAS, CONFIG, WEIGHTS))
        return is_archive(start) and start[_NAME_AT:].startswith(tuple(names))

    def read(self, path: Path) -> WeightsFile:
        try:
            with Archive(path) as archive:
                return _read({entry.name: entry for entry in archive.entries}, archive)
        except DataError as error:
            raise WeightsError(str(error)) from None

    def write(self, path: Path, tensors: Tensors, metadata: Metadata) -> None:
        keras = KerasModel(parse_model(metadata.definition, ""))
        weights = path.with_name(f".{path.name}.{secrets.token_hex(6)}.h5")
        try:
            write_variables(weights, keras, tensors, metadata)
            with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                archive.writestr(zip_entry(KERAS), json.dumps({"keras_version": KERAS_VERSION}))
                archive.writestr(zip_entry(CONFIG), json.dumps(keras.document()))
                archive.writestr(zip_entry(OWN), metadata.to_text())
                with weights.open("rb") as source, archive.open(zip_entry(WEIGHTS), "w", force_zip64=True) as target:
                    while chunk := source.read(_COPY_BYTES):
                        target.write(chunk)
        finally:
            weights.unlink(missing_ok=True)


def _read(entries: dict[str, Entry], archive: Archive) -> WeightsFile:
    for name in (CONFIG, WEIGHTS):
        if name not in entries:
            raise WeightsError(f"expected {CONFIG} and {WEIGHTS}, received {show(', '.join(entries), 200)}")
    config = _document(archive, entries[CONFIG])
    content = archive.read(entries[WEIGHTS], MAX_WEIGHTS_BYTES)
    tensors, metadata = read_variables(io.BytesIO(content), len(content))
    if OWN in entries:
        metadata = Metadata.from_text(archive.read(entries[OWN], documents.MAX_BYTES))
    return WeightsFile(tensors, metadata, definition=None if metadata else config, numbered=True)


def _document(archive: Archive, entry: Entry) -> dict[str, Any]:
    document = documents.parse(archive.read(entry, documents.MAX_BYTES), entry.name)
    if not isinstance(document, dict):
        raise WeightsError(f"{entry.name}: expected an object, received {show(document)}")
    return document
