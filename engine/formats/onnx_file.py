"""ONNX files: written for ONNX Runtime and others, with the metadata among the model's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.durable import replacing
from engine.errors import WeightsError
from engine.formats.base import Tensors, WeightsFile, WeightsFormat
from engine.formats.metadata import Metadata
from engine.registry import register


@register("weights_format", "onnx")
@dataclass(frozen=True, kw_only=True)
class OnnxFile(WeightsFormat):
    """The model's prediction as an ONNX graph (opset 18) with an open batch."""

    preprocessing: bool = False
    extension = ".onnx"
    media_type = "application/octet-stream"
    whole_model = True

    def with_preprocessing(self) -> WeightsFormat:
        return OnnxFile(preprocessing=True)

    def recognises(self, start: bytes) -> bool:
        return False

    def read(self, path: Path) -> WeightsFile:
        raise WeightsError("an ONNX file is not read here")

    def write(self, path: Path, tensors: Tensors, metadata: Metadata) -> None:
        from engine.onnx.export import onnx_model, write_onnx

        encoded = write_onnx(onnx_model(metadata, tensors, preprocessing=self.preprocessing))
        with replacing(path) as file:
            file.write(encoded)
