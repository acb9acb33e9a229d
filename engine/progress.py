"""What training tells whoever runs it: a protocol and the records that go through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol


@dataclass(frozen=True)
class Progress:
    """Where training stands. `epoch` counts from 1; `step` optimizer updates of `steps` planned ones are done."""

    epoch: int
    epochs: int
    step: int
    steps: int
    examples_per_second: float
    eta_seconds: float


@dataclass(frozen=True)
class Metrics:
    """One point of every series in `values` (`loss`, `accuracy`, `val_loss`, `learning_rate`, …)."""

    level: Literal["step", "epoch"]
    epoch: int
    step: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class CheckpointFiles:
    """`weights` is complete in itself (definition, preprocessing, classes, metrics); `state` is for a resume."""

    weights: Path
    state: Path


@dataclass(frozen=True)
class Checkpoint:
    """`best`: `checkpoints.monitor` was never better than here; `final`: training ended normally with it."""

    files: CheckpointFiles
    step: int
    epoch: int
    metrics: Mapping[str, float]
    best: bool
    final: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a call of `fit` ended. `stopped` is None, or what `should_stop` asked for: cancel, pause or shutdown."""

    stopped: str | None
    step: int
    epoch: int
    metrics: Mapping[str, Any] = field(default_factory=dict)


class Reporter(Protocol):
    """Receives what happens during training. Calls come from the training thread and must return quickly."""

    def progress(self, progress: Progress) -> None:
        """Called after every native call (at most 100 ms apart)."""

    def metrics(self, metrics: Metrics) -> None:
        """Called at intervals of steps, and at the end of every epoch."""

    def log(self, level: Literal["info", "warning", "error"], message: str, data: Mapping[str, Any]) -> None:
        """Something a person should read."""

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """The files are complete and belong to the receiver now."""
