"""Compile compute kernels ahead: those that every training shares, and those of given models or jobs.

A job is trained for two steps on numbers that mean nothing, validated, and its model loaded and asked once: whatever
that needs is in the folder of compiled kernels afterwards. What is there already is not made again.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import engine
from engine import kernels, runtime
from engine.codegen import objects
from engine.data.dataset import Dataset
from engine.data.ingest import ingest
from engine.definition import JobSpec, Model, parse_job, parse_model
from engine.fit import fit
from engine.losses.base import Loss
from engine.options import entry, parse
from engine.progress import Checkpoint, Metrics, Progress
from engine.types import concrete

CLASSIFICATION: dict[str, Any] = {"type": "SparseCategoricalCrossentropy", "from_logits": True}
REGRESSION: dict[str, Any] = {"type": "MeanSquaredError"}
MOST_CHANNELS = 4
"""Up to so many, an input of rank 3 is taken for pictures, which are stored as bytes."""
NOT_COMPILED = ("callbacks", "class_weight", "steps_per_epoch", "validation_steps")
"""Options of training that ask for data or change no kernel."""


def shared_kernels() -> None:
    """Kernels that have one form for all models."""
    for package in (kernels, runtime):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    for kernel in objects.declared:
        if not inspect.signature(kernel.source).parameters:
            kernel()


def job_kernels(document: Mapping[str, Any]) -> None:
    """Kernels of a job's document, whose data is left alone, or of a model's. Raises DefinitionError."""
    job = document if "model" in document else {"model": document}
    with TemporaryDirectory() as folder:
        spec, data = _nominal(job, Path(folder))
        reporter = _Silent()
        fit(spec, data, reporter=reporter, should_stop=lambda: None, work_dir=Path(folder), threads=1)
        model = engine.load(reporter.files[-1].files.weights, threads=1)
        examples = {name: np.asarray(data.columns[source][: spec.training.batch_size])
                    for name, source in spec.feeds.items()}
        for count in (1, spec.training.batch_size):
            fed = {name: column[:count] for name, column in examples.items()}
            model.predict(fed if len(fed) > 1 else next(iter(fed.values())))
        model.close()


def _nominal(job: Mapping[str, Any], folder: Path) -> tuple[JobSpec, Dataset]:
    """The job on data made up for its model: two whole batches and a part of one, for training and for validation."""
    model = parse_model(job["model"])
    training = {key: value for key, value in (job.get("training") or {}).items() if key not in NOT_COMPILED}
    (output, *_) = (model.types[layer] for layer in model.outputs.values())
    width = concrete(output.shape, 1)[-1] if output.rank == 2 else 0
    training.setdefault("loss", CLASSIFICATION if width > 1 else REGRESSION)
    batch = training.setdefault("batch_size", 32)
    random = np.random.default_rng(0)
    classes = max(width, 2) if _wants_classes(training["loss"]) else 0
    examples = max(5 * batch, 2 * classes)
    label = (np.arange(examples) % classes if classes
             else random.standard_normal(concrete(output.shape, examples), np.float32))
    columns = {name: _column(model, name, examples, random) for name in model.inputs}
    np.savez(folder / "data.npz", label=label, **columns)
    (folder / "data").mkdir()
    manifest = ingest(folder / "data.npz", folder / "data", format=None, options={"target": "label"},
                      filename="data.npz", progress=lambda done, total: None)
    block: dict[str, Any] = {"target": "label", "features": {name: [name] for name in columns},
                             "split": {"validation": 0.5}}
    if (data := job.get("data")) and data.get("augmentation"):
        block["augmentation"] = data["augmentation"]
    document = {**job, "data": block, "training": {**training, "epochs": 1}, "checkpoints": {}, "resources": {}}
    return parse_job(document, manifest), Dataset.open(folder / "data", manifest)


def _wants_classes(loss: Any) -> bool:
    if isinstance(loss, Mapping) and "type" not in loss and "class_name" not in loss:
        loss = next(iter(loss.values()))
    read: Loss = parse(entry("loss"), loss, "/training/loss")
    return read.wants == "classes" or "rossentropy" in type(read).__name__


def _column(model: Model, name: str, examples: int, random: np.random.Generator) -> Any:
    """An input's examples."""
    shape = concrete(model.types[name].shape, examples)
    if len(shape) == 4 and shape[-1] <= MOST_CHANNELS:
        return random.integers(0, 256, shape, np.uint8)
    if model.types[name].dtype != "float32":
        return np.zeros(shape, model.types[name].dtype)
    return random.standard_normal(shape, np.float32)


class _Silent:
    """A reporter that keeps the checkpoints alone."""

    def __init__(self) -> None:
        self.files: list[Checkpoint] = []

    def progress(self, progress: Progress) -> None:
        """Nobody reads it."""

    def metrics(self, metrics: Metrics) -> None:
        """Nobody reads them."""

    def log(self, level: str, message: str, data: Mapping[str, Any]) -> None:
        """Nobody reads it."""

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """The weights are loaded afterwards."""
        self.files.append(checkpoint)
