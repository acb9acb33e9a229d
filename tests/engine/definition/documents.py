"""Definitions and manifests that several tests start from."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

KERAS = Path(__file__).parent / "keras"

MODEL: dict[str, Any] = {
    "inputs": {"image": {"shape": [32, 32, 3]}},
    "layers": [
        {"type": "Conv2D", "filters": 32, "kernel_size": 3, "activation": "relu"}, {"type": "MaxPooling2D"},
        {"type": "Conv2D", "filters": 64, "kernel_size": 3, "activation": "relu"}, {"type": "MaxPooling2D"},
        {"type": "Flatten"}, {"type": "Dense", "units": 64, "activation": "relu"}, {"type": "Dropout", "rate": 0.5},
        {"type": "Dense", "units": 10},
    ],
}
CLASSES = list("abcdefghij")
IMAGES: dict[str, Any] = {
    "format": "image-folder", "examples": 100, "target": "label", "classes": CLASSES,
    "features": [{"name": "image", "type": "image", "shape": [32, 32, 3], "dtype": "uint8"},
                 {"name": "label", "type": "category", "shape": [], "dtype": "int32", "categories": CLASSES}],
    "splits": {"train": [0, 80], "test": [80, 100]},
    "profile": {"image": {"count": 100, "missing": 0}, "label": {"count": 100, "missing": 0, "distinct": 10}},
}
JOB: dict[str, Any] = {
    "model": MODEL,
    "data": {"features": ["image"], "target": "label", "split": {"validation": 0.2, "stratify": True},
             "preprocessing": [{"type": "Rescaling", "scale": 0.00392156862745098}],
             "augmentation": [{"type": "RandomFlip", "mode": "horizontal"}]},
    "training": {"epochs": 10, "batch_size": 32, "optimizer": {"type": "Adam", "learning_rate": 0.001},
                 "loss": {"type": "SparseCategoricalCrossentropy", "from_logits": True}, "metrics": ["accuracy"],
                 "callbacks": [{"type": "EarlyStopping", "monitor": "val_loss", "patience": 3}], "seed": 0},
    "checkpoints": {"every_epochs": 1, "keep_last": 2, "monitor": "val_accuracy"},
    "resources": {"threads": 2, "memory_bytes": 2000000000, "max_seconds": 3600},
}
TABLE: dict[str, Any] = {
    "format": "csv", "examples": 50, "target": None, "classes": None,
    "features": [{"name": name, "type": kind, "shape": [], "dtype": dtype} for name, kind, dtype in (
        ("age", "number", "float64"), ("height", "number", "float64"), ("price", "number", "float64"),
        ("weight", "number", "float64"))]
    + [{"name": "sold", "type": "boolean", "shape": [], "dtype": "bool"}],
    "splits": {"train": [0, 40], "validation": [40, 50]},
    "profile": {name: {"count": 50, "missing": 0, "minimum": 0.0, "maximum": 9.0, "distinct": 40}
                for name in ("age", "height", "price", "weight")}
    | {"sold": {"count": 50, "missing": 0, "minimum": 0, "maximum": 1, "distinct": 2, "classes": {"0": 20, "1": 30}}},
}


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A deep copy with another value at a pointer; `...` removes what stands there."""
    document = copy.deepcopy(document)
    *parents, last = path.strip("/").split("/")
    place: Any = document
    for parent in parents:
        place = place[int(parent) if isinstance(place, list) else parent]
    key: Any = int(last) if isinstance(place, list) else last
    if value is ...:
        del place[key]
    elif isinstance(place, list) and key == len(place):
        place.append(value)
    else:
        place[key] = value
    return document


def keras(name: str) -> dict[str, Any]:
    """What Keras 3.15's `to_json()` gave for a model."""
    document: dict[str, Any] = json.loads((KERAS / f"{name}.json").read_text())
    return document
