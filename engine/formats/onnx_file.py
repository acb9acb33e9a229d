"""ONNX files: written for ONNX Runtime and others with the metadata among the model's own; read as definitions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.durable import replacing
from engine.formats.base import Tensors, WeightsFile, WeightsFormat
from engine.formats.metadata import Metadata
from engine.registry import register

_VERSION = b"\x08"


@register("weights_format", "onnx")
@dataclass(frozen=True, kw_only=True)
class OnnxFile(WeightsFormat):
    """The model's prediction as an ONNX graph (opset 18) with an open batch. Reads graphs of the operators we have."""

    preprocessing: bool = False
    extension = ".onnx"
    media_type = "application/octet-stream"
    whole_model = True

    def with_preprocessing(self) -> WeightsFormat:
        return OnnxFile(preprocessing=True)

    def recognises(self, start: bytes) -> bool:
        # The message begins with its first field, the version. A safetensors file of a short header does, too.
        return start[:1] == _VERSION and start[8:9] != b"{"

    def read(self, path: Path) -> WeightsFile:
        """The graph as a definition, and its weights; see `engine.onnx.taken`."""
        from engine.onnx.taken.walk import take_onnx

        definition, tensors = take_onnx(path)
        return WeightsFile(tensors, None, definition)

    def write(self, path: Path, tensors: Tensors, metadata: Metadata) -> None:
        from engine.onnx.export import onnx_model, write_onnx

        encoded = write_onnx(onnx_model(metadata, tensors, preprocessing=self.preprocessing))
        with replacing(path) as file:
            file.write(encoded)
