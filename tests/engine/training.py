"""Small trainings for tests: datasets in memory, jobs in a line, and a reporter that remembers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from engine import formats
from engine.data.dataset import Dataset
from engine.data.ingest import ingest
from engine.definition import parse_job
from engine.definition.job import JobSpec
from engine.fit import fit
from engine.progress import Checkpoint, CheckpointFiles, Metrics, Outcome, Progress

Array = np.ndarray


@dataclass
class Recorder:
    """A reporter that keeps everything."""

    points: list[Metrics] = field(default_factory=list)
    logs: list[tuple[str, str]] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    calls: int = 0

    def progress(self, progress: Progress) -> None:
        self.calls += 1

    def metrics(self, metrics: Metrics) -> None:
        self.points.append(metrics)

    def log(self, level: str, message: str, data: Mapping[str, Any]) -> None:
        self.logs.append((level, message))

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        self.checkpoints.append(checkpoint)

    def epochs(self, name: str) -> list[float]:
        return [point.values[name] for point in self.points if point.level == "epoch"]


@dataclass
class Trained:
    outcome: Outcome
    recorder: Recorder

    @property
    def files(self) -> CheckpointFiles:
        return self.recorder.checkpoints[-1].files

    @property
    def bytes(self) -> bytes:
        return self.files.weights.read_bytes()

    @property
    def weights(self) -> dict[str, Array]:
        return dict(formats.read(self.files.weights).tensors)


def dataset(folder: Path, **arrays: Array) -> Dataset:
    """An npz of these arrays, as ingest makes it."""
    source, output = folder / "data.npz", folder / "dataset"
    np.savez(source, **cast(Any, arrays))
    output.mkdir()
    manifest = ingest(source, output, format=None, options={"target": "label"}, filename="data.npz",
                      progress=lambda done, total: None)
    return Dataset.open(output, manifest)


def job(data: Dataset, layers: list[dict[str, Any]], *, inputs: Any = None, threads: int = 1, data_block: Any = None,
        checkpoints: Any = None, outputs: Any = None, memory_bytes: int | None = None, **training: Any) -> JobSpec:
    """A job's document with defaults that suit classification."""
    options = {"epochs": 3, "batch_size": 16, "optimizer": {"type": "Adam", "learning_rate": 0.01},
               "loss": {"type": "SparseCategoricalCrossentropy", "from_logits": True}, "seed": 3, **training}
    model = {"inputs": inputs or {"x": {}}, "layers": layers, **({"outputs": outputs} if outputs else {})}
    return parse_job({"model": model, "data": {"target": "label", "split": {"validation": 0.2}, **(data_block or {})},
                      "training": options, "checkpoints": checkpoints or {},
                      "resources": {"threads": threads, "memory_bytes": memory_bytes}}, data.manifest)


def train(spec: JobSpec, data: Dataset, folder: Path, *, stop_after: int | None = None, reason: str = "pause",
          resume: CheckpointFiles | None = None, initial_weights: Path | None = None, matching: bool = False,
          should_stop: Callable[[], str | None] | None = None, threads: int | None = None) -> Trained:
    """Run `fit`; `stop_after` asks for a stop once so many updates were reported."""
    recorder = Recorder()

    def stop() -> str | None:
        return reason if stop_after is not None and recorder.calls >= stop_after else None

    outcome = fit(spec, data, reporter=recorder, should_stop=should_stop or stop, work_dir=folder, resume=resume,
                  initial_weights=initial_weights, matching=matching, threads=threads)
    return Trained(outcome, recorder)
