"""Stoker's deep-learning engine: definition -> graph -> autodiff -> passes -> plan -> runtime.

    import engine
    model = engine.load("weights.safetensors")
    model.predict(images)

This package's face does not need llvmlite; compute kernels load when a plan is bound.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.definition import Model
    from engine.predict import TrainedModel
    from engine.starting import Starting as Starting

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


def read_start(file: Path, definition: Any = None) -> Starting:
    """A model file that somebody posted, for a training to start from: its model, format and weights.

    `definition` is for files with weights alone. Raises WeightsError, DefinitionError (pointers begin with /definition,
    or with /file for a definition inside of the file).
    """
    from engine import starting

    return starting.read_start(file, definition)


def write_start(start: Starting, output: Path) -> None:
    """Write such weights as `fit` takes them."""
    from engine import starting

    starting.write_start(start, output)


def check_start(model: Model, source: Model, *, matching: bool) -> None:
    """Do the weights of one model fit another, or with `matching` any of them? WeightsError lists the differences."""
    from engine import starting

    starting.check_start(model, source, matching=matching)
