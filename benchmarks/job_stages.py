"""Where the time of a job through the service goes, and what the service adds to the engine alone, in turn.

python -m benchmarks.job_stages            # a table of stages, and the ratio of training times

The job is cnn32's network on pictures of noise. Stages come from what the service says itself: its events' times and
the accounts that training gives in its log. Only submitting, what a client sees, and the download are timed here.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from benchmarks.turns import ROOT
from benchmarks.workloads import WORKLOADS
from engine import fit
from engine.data import Dataset
from engine.data.ingest import ingest
from engine.definition import parse_job
from engine.progress import Checkpoint, Metrics, Progress
from engine.runtime.cores import available_cores

sys.path.insert(0, str(ROOT / "examples"))

from local_server import LocalServer  # a script's neighbour

import stoker  # behind it, as every script there has it

EXAMPLES, EPOCHS = 8000, 4
TRAINED = ("first step", "steps")


def document() -> dict[str, Any]:
    """The job without its dataset."""
    definition = WORKLOADS["cnn32"].definition
    return {
        "model": {"inputs": {"x": {"shape": [32, 32, 3]}}, "layers": definition["layers"]},
        "data": {"features": ["x"], "target": "y", "split": {"validation": 0.1, "test": 0.1},
                 "preprocessing": [{"type": "Rescaling", "scale": 1 / 255}],
                 "augmentation": [{"type": "RandomFlip", "mode": "horizontal"}]},
        "training": {"epochs": EPOCHS, "batch_size": 32, "optimizer": {"type": "Adam"},
                     "loss": {"type": "SparseCategoricalCrossentropy", "from_logits": True}, "metrics": ["accuracy"]},
        "checkpoints": {"every_epochs": 1},
    }


def pictures() -> bytes:
    """An npz of uint8 pictures and their labels."""
    random, file = np.random.default_rng(0), io.BytesIO()
    labels = random.integers(0, 10, EXAMPLES).astype(np.int32)
    x = random.integers(0, 256, (EXAMPLES, 32, 32, 3)).astype(np.uint8)
    np.savez(file, x=x, y=labels)
    return file.getvalue()


class Account:
    """A reporter that keeps the accounts of training."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def progress(self, progress: Progress) -> None:
        """Not of interest."""

    def metrics(self, metrics: Metrics) -> None:
        """Not of interest."""

    def log(self, level: str, message: str, data: Mapping[str, Any]) -> None:
        """Take up an account."""
        self.seconds |= data.get("stages", {})

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Remove it."""
        checkpoint.files.weights.unlink()
        checkpoint.files.state.unlink()


def alone(folder: Path, dataset: Dataset) -> dict[str, float]:
    """The stages of the same training by the engine, in this process."""
    account = Account()
    with tempfile.TemporaryDirectory(dir=folder) as work:
        fit.fit(parse_job(document(), dataset.manifest), dataset, reporter=account, should_stop=lambda: None,
                work_dir=Path(work), threads=available_cores())
    return account.seconds


def through_the_service(client: stoker.Client, dataset: str) -> dict[str, float]:
    """The stages of one job, from before it is submitted to after its weights are here."""
    began, clock = time.monotonic(), time.time()
    job = client.jobs.create({**document(), "dataset": dataset})
    submitted = time.monotonic() - began
    seen: dict[str, Any] = {}
    accounts: list[tuple[datetime, dict[str, float]]] = []
    for event in client.jobs.events(job.id):
        assert event.created_at is not None or event.type == "done"
        if event.type == "metrics" and "first" not in seen:
            seen["first"] = time.monotonic() - began
        if event.type == "status" and event.data.get("status") == "running":
            seen["running"] = event.created_at
        if event.type == "log" and "stages" in event.data:
            assert event.created_at is not None
            accounts.append((event.created_at, event.data["stages"]))
    job = client.jobs.get(job.id)
    if job.status != "succeeded" or job.created_at is None or job.finished_at is None:
        raise SystemExit(f"the job {job.status}: {job.error}")
    (first_at, before), (last_at, after) = accounts
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        client.jobs.weights(job.id, Path(folder) / "weights.safetensors")
    return {
        "submit: the request and its answer": submitted,
        "wait for a worker: until it has claimed the job": (seen["running"] - job.created_at).total_seconds(),
        "start of the training process": (first_at - seen["running"]).total_seconds() - sum(before.values()),
        **before,
        "· submit to first step": first_at.timestamp() - clock,
        "· submit to first metrics at the client": seen["first"],
        **after,
        "end: last checkpoint stored, job closed": (job.finished_at - last_at).total_seconds(),
        "export: download of the weights": time.monotonic() - started,
    }


def measured(rounds: int) -> Iterator[tuple[dict[str, float], dict[str, float]]]:
    """Stages of the service's job and of the engine alone, in turn; a first job of each only warms up."""
    with tempfile.TemporaryDirectory(prefix="stoker-bench-") as scratch, LocalServer() as server:
        source, columns = Path(scratch) / "pictures.npz", Path(scratch) / "columns"
        source.write_bytes(pictures())
        columns.mkdir()
        options = {"target": "y"}
        manifest = ingest(source, columns, format=None, options=options, filename=source.name,
                          progress=lambda done, total: None)
        local = Dataset.open(columns, manifest)
        with stoker.Client(server.url, data_dir=server.data_dir) as client:
            dataset = client.datasets.wait(client.datasets.upload(source, options=options).id).id
            for turn in range(rounds + 1):
                found = through_the_service(client, dataset), alone(Path(scratch), local)
                if turn:
                    yield found


def main() -> int:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    turns = list(measured(options.parse_args().rounds))
    rows = []
    for name in turns[0][0]:
        service = [stages[name] for stages, _ in turns]
        engine = [stages[name] for _, stages in turns if name in stages]
        cells = (f"{1e3 * statistics.median(values):.0f}" if values else "" for values in (service, engine))
        rows.append((name, *cells, f"{1e3 * min(service):.0f}"))
    print(results.table(("stage", "service, ms", "engine alone, ms", "service, best"), rows))
    trained = [[sum(stages[name] for name in TRAINED) for stages in turn] for turn in turns]
    service, engine = (min(column) for column in zip(*trained, strict=True))
    print(f"job  training {service:.2f} s through the service, {engine:.2f} s by the engine alone  "
          f"ratio {service / engine:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
