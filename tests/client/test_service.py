"""The client against a whole server: upload, train, follow, steer, download, and what the command line prints."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_server import LocalServer

import stoker

STOKER = Path(sys.executable).parent / "stoker"
MODEL = {
    "inputs": {"point": {"shape": [2]}},
    "layers": [{"type": "Dense", "units": 16, "activation": "relu"}, {"type": "Dense", "units": 3}],
}
TRAINING = {
    "epochs": 3,
    "batch_size": 16,
    "optimizer": {"type": "SGD", "learning_rate": 0.05},
    "loss": {"type": "SparseCategoricalCrossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "seed": 3,
}
JOB: dict[str, Any] = {"name": "three-heaps", "model": MODEL, "data": {"target": "heap"}, "training": TRAINING}


@pytest.fixture(scope="module")
def real(service: LocalServer) -> Iterator[stoker.Client]:
    with stoker.Client(service.url, data_dir=service.data_dir) as client:
        yield client


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Points around three centres."""
    heap = np.arange(600) % 3
    points = np.random.default_rng(0).normal(size=(600, 2)) * 0.3 + heap[:, None]
    made = tmp_path_factory.mktemp("data") / "heaps.npz"
    np.savez(made, point=points.astype(np.float32), heap=heap)
    return made


@pytest.fixture(scope="module")
def dataset(real: stoker.Client, file: Path) -> stoker.Dataset:
    return real.datasets.wait(real.datasets.upload(file, name="heaps").id, timeout_seconds=30)


def command(service: LocalServer, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"STOKER_DATA_DIR": str(service.data_dir)}
    return subprocess.run([STOKER, *words], env=environment, capture_output=True, text=True, timeout=60)


def test_a_job_from_upload_to_weights(real: stoker.Client, dataset: stoker.Dataset, tmp_path: Path) -> None:
    assert (dataset.examples, dataset.format) == (600, "npz")
    assert set(real.datasets.profile(dataset.id)["columns"]) == {"point", "heap"}
    job = real.jobs.create(JOB | {"dataset": dataset.id, "metadata": {"made-by": "test"}})
    events = list(real.jobs.events(job.id))
    assert events[-1].type == "done" and {"status", "metrics", "checkpoint"} <= {event.type for event in events}
    middle = events[len(events) // 2]
    assert [event.id for event in real.jobs.events(job.id, after=middle.id)] == [
        event.id for event in events[len(events) // 2 + 1 :]
    ]
    assert [event.id for event in real.jobs.history(job.id)] == [event.id for event in events[:-1]]

    job = real.jobs.wait(job.id)
    assert job.progress is not None and job.progress.step == job.progress.steps and job.latest["loss"] < 1
    assert job.id in [each.id for each in real.jobs.list(status="succeeded", metadata={"made-by": "test"})]
    series = real.jobs.metrics(job.id, names=["loss"])
    assert list(series) == ["loss"] and len(series["loss"].points) == 3
    [last, *_] = real.jobs.checkpoints(job.id)
    assert last.job == job.id

    weights = real.jobs.weights(job.id, tmp_path / "w.safetensors", checkpoint="last")
    real.jobs.weights(job.id, tmp_path / "w.npz", format="npz", checkpoint="last")
    with np.load(tmp_path / "w.npz") as arrays:
        assert arrays["dense/kernel"].shape == (2, 16) and arrays["dense_1/bias"].shape == (3,)
        assert arrays["dense/kernel"].tobytes() in weights.read_bytes()


def test_a_repeated_creation_is_one_job(real: stoker.Client, dataset: stoker.Dataset) -> None:
    document = JOB | {"dataset": dataset.id}
    first, second = (real.jobs.create(document, idempotency_key="test-once") for _ in range(2))
    assert first.id == second.id
    with pytest.raises(stoker.InvalidRequestError):
        real.jobs.create(document | {"name": "other"}, idempotency_key="test-once")
    real.jobs.wait(first.id)


def test_pause_resume_and_cancel(real: stoker.Client, dataset: stoker.Dataset) -> None:
    job = real.jobs.create(JOB | {"dataset": dataset.id, "training": TRAINING | {"epochs": 100_000}})
    statuses: list[str] = []
    for event in real.jobs.events(job.id):
        if event.type == "metrics" and "paused" not in statuses and not statuses:
            statuses.append(real.jobs.pause(job.id).status)
        elif event.type == "status":
            status = real.jobs.get(job.id).status
            if status == "paused" and "resumed" not in statuses:
                real.jobs.resume(job.id)
                statuses.append("resumed")
            elif status == "running" and "resumed" in statuses and "cancelled" not in statuses:
                real.jobs.cancel(job.id)
                statuses.append("cancelled")
    assert statuses[1:] == ["resumed", "cancelled"]
    assert real.jobs.get(job.id).status == "cancelled"
    with pytest.raises(stoker.ConflictError):
        real.jobs.pause(job.id)
    with pytest.raises(stoker.JobFailedError, match="is cancelled"):
        real.jobs.wait(job.id)


def test_faults_point_at_their_place(real: stoker.Client, dataset: stoker.Dataset) -> None:
    document = JOB | {"dataset": dataset.id, "model": MODEL | {"layers": [{"type": "Dense", "units": -1}]}}
    with pytest.raises(stoker.InvalidRequestError) as raised:
        real.jobs.create(document)
    assert [fault.pointer for fault in raised.value.faults] == ["/model/layers/0/units"]
    with pytest.raises(stoker.NotFoundError):
        real.jobs.get("job_" + "0" * 32)
    with pytest.raises(stoker.AuthenticationError), stoker.Client(real.configuration.url, "sk_wrong") as other:
        next(other.jobs.list())


def test_a_job_starts_from_a_posted_model(
    real: stoker.Client, service: LocalServer, dataset: stoker.Dataset, tmp_path: Path
) -> None:
    """What was trained goes out as a .keras file, comes back, and is the model that the next job starts from."""
    frozen = TRAINING | {"epochs": 1, "optimizer": {"type": "SGD", "learning_rate": 0.0}}
    first = real.jobs.wait(real.jobs.create(JOB | {"dataset": dataset.id}).id)
    file = real.jobs.weights(first.id, tmp_path / "trained.keras")
    posted = real.models.upload(file, name="trained")
    assert posted.weights is not None and posted.weights["format"] == "keras"
    second = real.jobs.wait(real.jobs.create(JOB | {"dataset": dataset.id, "model": posted.id, "training": frozen}).id)
    for job, name in ((first, "a"), (second, "b")):
        real.jobs.weights(job.id, tmp_path / f"{name}.npz", format="npz")
    with np.load(tmp_path / "a.npz") as before, np.load(tmp_path / "b.npz") as after:
        assert all(np.array_equal(before[name], after[name]) for name in before if "/" in name)

    definition = tmp_path / "definition.json"
    definition.write_text(json.dumps(MODEL))
    made = command(service, "models", "upload", str(tmp_path / "a.npz"), "--definition", str(definition))
    assert made.returncode == 0, made.stderr
    shown = json.loads(command(service, "models", "get", made.stdout.strip()).stdout)
    assert (shown["name"], shown["weights"]["format"]) == ("a", "npz")
    assert made.stdout.strip() in command(service, "models").stdout

    head = MODEL | {"layers": [MODEL["layers"][0], {"type": "Dense", "name": "head", "units": 3}]}  # type: ignore[index]
    start = {"from_model": posted.id, "definition": head, "weights": "matching"}
    tuned = real.jobs.wait(real.jobs.create(JOB | {"dataset": dataset.id, "model": start, "training": frozen}).id)
    told = [event.message for event in real.jobs.history(tuned.id) if event.level == "warning"]
    assert any("training starts from 2 of 4 weights; missing tensors: head/kernel" in message for message in told)


def test_definitions(real: stoker.Client) -> None:
    model = real.models.create({"model": MODEL, "name": "dense"})
    assert model.id in [each.id for each in real.models.list()]
    assert real.models.get(model.id).name == "dense"
    assert real.models.validate({"model": model.id})["parameters"]["total"] == 2 * 16 + 16 + 16 * 3 + 3
    assert real.models.graph(model.id, stage="training")["nodes"]
    assert "Dense" in real.catalogue()["layers"]


def test_the_command_line_trains_lists_and_downloads(service: LocalServer, file: Path, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps(JOB))
    trained = command(service, "train", str(tmp_path / "job.json"), "--data", str(file), "--watch")
    assert trained.returncode == 0, trained.stderr
    job_id, *lines = trained.stdout.splitlines()
    assert sum(line.startswith("epoch ") for line in lines) == 3 and f"{job_id} succeeded" in trained.stdout
    assert job_id in command(service, "jobs", "--status", "succeeded").stdout
    assert "status     succeeded" in command(service, "job", job_id).stdout
    output = tmp_path / "w.safetensors"
    assert command(service, "weights", job_id, "-o", str(output)).returncode == 0 and output.exists()
    assert "heaps" in command(service, "datasets").stdout
    refused = command(service, "cancel", job_id)
    assert refused.returncode == 1 and "409" in refused.stderr


def test_a_terminal_gets_a_bar(service: LocalServer, dataset: stoker.Dataset, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps(JOB | {"dataset": dataset.id, "training": TRAINING | {"epochs": 30}}))
    ours, theirs = pty.openpty()
    shown = bytearray()

    def read() -> None:
        try:
            while piece := os.read(ours, 65536):
                shown.extend(piece)
        except OSError:  # how Linux says that the other end was closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    environment = os.environ | {"STOKER_DATA_DIR": str(service.data_dir), "TERM": "xterm-256color", "COLUMNS": "100"}
    try:
        done = subprocess.run(
            [STOKER, "train", str(tmp_path / "job.json"), "--watch"],
            env=environment,
            stdout=theirs,
            stderr=theirs,
            timeout=60,
        )
    finally:
        os.close(theirs)
        reader.join(10)
        os.close(ours)
    text = shown.decode()
    assert done.returncode == 0, text
    assert "━" in text and "three-heaps" in text and "succeeded" in text and "loss" in text
