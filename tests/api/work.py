"""What the API's tests begin with: a dataset, a job on it, and a worker's part in both, played through the store."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import httpx

from engine.data import ingest
from engine.errors import DataError
from store.blobs import BlobWriter, read_blob
from store.models import Checkpoint, Job
from store.repositories import CheckpointRepository, DatasetRepository
from store.repositories.running_jobs import RunningJobRepository
from store.session import Database

CSV = "height,width,label\n" + "".join(f"{n}.5,{n % 7},{'odd' if n % 2 else 'even'}\n" for n in range(40))

MODEL = {
    "inputs": {"features": {"shape": [2]}},
    "layers": [{"type": "Dense", "units": 8, "activation": "relu"}, {"type": "Dense", "units": 2}],
}


def upload(
    http: httpx.Client, content: bytes | str = CSV, filename: str = "shapes.csv", **fields: Any
) -> httpx.Response:
    """POST a file."""
    headers = fields.pop("headers", {})
    data = content.encode() if isinstance(content, str) else content
    return http.post("/v1/datasets", files={"file": (filename, data)}, data=fields, headers=headers)


def ingest_all(database: Database) -> None:
    """Ingest every dataset that waits, as a worker does."""
    while True:
        with database.write() as session:
            dataset = DatasetRepository(session).claim_next("test", 30.0)
        if dataset is None or dataset.source_blob is None:
            return
        with tempfile.TemporaryDirectory() as folder:
            source, output = Path(folder, "source"), Path(folder, "output")
            output.mkdir()
            source.write_bytes(b"".join(read_blob(database, dataset.source_blob)))
            try:
                manifest = ingest(source, output, format=dataset.format, filename=dataset.filename)
            except DataError as fault:
                error = {"code": fault.code, "message": fault.detail, "pointer": None}
                with database.write() as session:
                    DatasetRepository(session).fail(dataset.id, dataset.token, error)
                continue
            writers = {path.name: stored(database, path.read_bytes()) for path in output.iterdir()}
        with database.write() as session:
            DatasetRepository(session).ready(dataset.id, dataset.token, manifest, writers)


def stored(database: Database, content: bytes) -> BlobWriter:
    """A writer that has stored `content`."""
    writer = BlobWriter(database)
    writer.write(content)
    writer.flush()
    return writer


def ready_dataset(http: httpx.Client, database: Database, **fields: Any) -> str:
    """The id of an ingested dataset."""
    response = upload(http, **fields)
    assert response.status_code == 202, response.text
    ingest_all(database)
    return str(response.json()["id"])


def job_body(dataset: str, /, **changes: Any) -> dict[str, Any]:
    """A job that trains `MODEL` on the CSV."""
    training = {
        "epochs": 2,
        "batch_size": 8,
        "optimizer": {"type": "Adam", "learning_rate": 0.01},
        "loss": {"type": "SparseCategoricalCrossentropy", "from_logits": True},
        "metrics": ["accuracy"],
    }
    data = {"features": ["height", "width"], "target": "label", "split": {"validation": 0.2}}
    return {"name": "shapes", "model": MODEL, "dataset": dataset, "data": data, "training": training, **changes}


def new_job(http: httpx.Client, dataset: str, **changes: Any) -> dict[str, Any]:
    """A queued job."""
    response = http.post("/v1/jobs", json=job_body(dataset, **changes))
    assert response.status_code == 201, response.text
    return dict(response.json())


def claim(database: Database, job_id: str) -> Job:
    """Claim jobs until it is this one; the others are cancelled."""
    while True:
        with database.write() as session:
            job = RunningJobRepository(session).claim_next("test", 30.0)
        assert job is not None, "the job is not waiting"
        if job.id == job_id:
            return job
        finish(database, job, "cancelled")


def finish(database: Database, job: Job, status: str, **values: Any) -> None:
    """End a claimed job."""
    with database.write() as session:
        RunningJobRepository(session).finish(job.id, job.token, status, **values)


def publish(
    database: Database, job: Job, step: int, weights: bytes, *, best: bool = False, keep_last: int = 9
) -> Checkpoint:
    """A checkpoint of a claimed job."""
    writer, state = stored(database, weights), stored(database, b"state %d" % step)
    metrics = {"loss": 1.0 / step}
    with database.write() as session:
        return CheckpointRepository(session).publish(
            job.id,
            job.token,
            weights=writer,
            state=state,
            step=step,
            epoch=1,
            metrics=metrics,
            best=best,
            keep_last=keep_last,
        )
