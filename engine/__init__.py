"""Stoker's deep-learning engine: definition -> graph -> autodiff -> passes -> plan -> runtime.

    import engine
    model = engine.load("weights.safetensors")
    model.predict(images)

This package's face does not need llvmlite; compute kernels load when a plan is bound.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.predict import TrainedModel

ENGINE_VERSION = "1"
WEIGHT_FORMATS = ("safetensors", "npz", "keras", "h5", "onnx")
WEIGHT_LAYOUTS = ("keras", "torch")


def load(file: Path | str, *, threads: int | None = None) -> TrainedModel:
    """The trained model in a weights file. Raises WeightsError."""
    from engine import predict

    return predict.load(file, threads=threads)


def export_weights(weights_file: Path, format: str, output: Path, *, layout: str = "keras",
                   preprocessing: bool = False) -> None:
    """Write a weights file's tensors and metadata in another of `WEIGHT_FORMATS`; equal content gives equal bytes.

    With `layout="torch"` (safetensors and npz) tensors have the names and layouts of the equivalent PyTorch module;
    with `preprocessing` (onnx) the model takes examples as the dataset holds them.
    Raises WeightsError for a model that the format cannot hold.
    """
    from engine import formats

    formats.export_weights(weights_file, format, output, layout=layout, preprocessing=preprocessing)
