"""Jobs for tests of training, and the worker that trains them."""

from __future__ import annotations

import subprocess
from typing import Any

from engine import definition
from tests.worker.stack import Stack

LONG = 2000
"""Epochs of a job that does not end by itself while a test looks at it."""


class Workers:
    """The one training worker that stands, started again after tests that ended it."""

    def __init__(self, stack: Stack, concurrency: int = 1) -> None:
        self.stack = stack
        self.concurrency = concurrency
        self.process: subprocess.Popen[bytes] | None = None

    def standing(self) -> subprocess.Popen[bytes]:
        """The worker; a new one if the last has ended."""
        if self.process is None or self.process.poll() is not None:
            self.process = self.stack.run_worker("training", self.concurrency)
        return self.process

    def trainer(self) -> int:
        """The pid of a process that trains for it."""
        return self.stack.until(lambda: self.stack.trainer(self.standing()))


def spec(stack: Stack, dataset: str, *, epochs: int = 12, units: int = 32, **more: Any) -> dict[str, Any]:
    """A small net with everything that a resume must not forget: Adam's slots, dropout, shuffling."""
    layers: list[dict[str, Any]] = []
    for _ in range(2):
        layers += [{"type": "Dense", "units": units, "activation": "relu"}, {"type": "Dropout", "rate": 0.3}]
    document = {
        "model": {"inputs": {"x": {"shape": [16]}}, "layers": [*layers, {"type": "Dense", "units": 2}]},
        "data": {"features": ["x"], "target": "y", "split": {"validation": 0.2}},
        "training": {
            "epochs": epochs,
            "batch_size": 32,
            "optimizer": {"type": "Adam", "learning_rate": 0.001},
            "loss": {"type": "SparseCategoricalCrossentropy", "from_logits": True},
            "metrics": ["accuracy"],
            "seed": 7,
        },
        "checkpoints": {"every_steps": 10, "keep_last": 2, **more.pop("checkpoints", {})},
        "resources": more.pop("resources", {}),
    }
    manifest = stack.dataset(dataset).manifest
    assert manifest is not None
    return {**definition.parse_job(document, manifest).to_json(), "initial_weights": None, **more}


def weights(stack: Stack, job: str) -> str:
    """The SHA-256 of the job's last weights."""
    return stack.checkpoints(job)[0].sha256


def statuses(stack: Stack, job: str) -> list[str]:
    return [event.data["status"] for event in stack.events(job) if event.type == "status"]


def new_checkpoint(stack: Stack, job: str, seen: int) -> bool:
    return any(event.type == "checkpoint" for event in stack.events(job)[seen:])
