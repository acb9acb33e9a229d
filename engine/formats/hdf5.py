"""`.weights.h5`: what Keras 3's `model.save_weights` writes and `model.load_weights` reads."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from engine.definition.model import parse_model
from engine.formats.base import Tensors, WeightsFile, WeightsFormat
from engine.formats.keras_config import KerasModel
from engine.formats.keras_variables import read_variables, write_variables
from engine.formats.metadata import Metadata
from engine.registry import register

MAGIC = b"\x89HDF\r\n\x1a\n"


@register("weights_format", "h5")
@dataclass(frozen=True, kw_only=True)
class Hdf5(WeightsFormat):
    """Keras 3's weights alone, for the model that `format=keras` gives or one built alike."""

    extension = ".weights.h5"
    media_type = "application/x-hdf5"
    whole_model = True

    def recognises(self, start: bytes) -> bool:
        return start.startswith(MAGIC)

    def read(self, path: Path) -> WeightsFile:
        tensors, metadata = read_variables(path, path.stat().st_size)
        return WeightsFile(tensors, metadata, numbered=True)

    def write(self, path: Path, tensors: Tensors, metadata: Metadata) -> None:
        part = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
        try:
            write_variables(part, KerasModel(parse_model(metadata.definition, "")), tensors, metadata)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
