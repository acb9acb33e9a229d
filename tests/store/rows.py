"""Rows that store tests begin with."""

from __future__ import annotations

import os
from itertools import count

from store.blobs import BlobWriter
from store.models import Checkpoint, Dataset, Job
from store.repositories import (
    ApiKeyRepository,
    CheckpointRepository,
    DatasetRepository,
    JobRepository,
    ModelRepository,
    ProjectRepository,
    WorkerRepository,
)
from store.repositories.events import NewEvent
from store.repositories.idempotency_keys import Reserved, reserve_or_wait
from store.repositories.metrics import MetricPoint
from store.repositories.running_jobs import RunningJobRepository
from store.session import Database

_names = count()


def new_project(database: Database) -> str:
    """A project's id."""
    with database.write() as session:
        return ProjectRepository(session).create(f"project {next(_names)} {os.getpid()}").id


def written(database: Database, content: bytes, owner: str | None = None) -> BlobWriter:
    """A writer with all of `content` stored, not committed."""
    writer = BlobWriter(database, owner=owner)
    writer.write(content)
    writer.flush()
    return writer


def new_dataset(database: Database, project_id: str, content: bytes | None = None, **options) -> Dataset:
    """A dataset that waits for its ingest."""
    with BlobWriter(database) as writer:
        writer.write(os.urandom(100) if content is None else content)
        writer.flush()
        with database.write() as session:
            options.setdefault("name", "digits")
            return DatasetRepository(session).create(project_id, source=writer, **options)


def new_job(database: Database, project_id: str, dataset_id: str, **options) -> Job:
    """A queued job."""
    with database.write() as session:
        options.setdefault("name", "cnn")
        return JobRepository(session).create(project_id, spec={"model": {}}, dataset_id=dataset_id, **options)


def claimed_job(database: Database, project_id: str, dataset_id: str, lease_seconds: float = 30.0, **options) -> Job:
    """A job that this test's worker holds; no other job may be waiting."""
    wanted = new_job(database, project_id, dataset_id, priority=1000, **options)
    job = claim(database, lease_seconds)
    assert job is not None and job.id == wanted.id
    return job


def claim(database: Database, lease_seconds: float = 30.0, worker: str = "worker-1") -> Job | None:
    """The next job."""
    with database.write() as session:
        return RunningJobRepository(session).claim_next(worker, lease_seconds)


def publish(database: Database, job: Job, step: int, *, best: bool = False, keep_last: int = 2) -> Checkpoint:
    """A small checkpoint."""
    owner = f"{job.id}/{job.token}"
    weights, state = written(database, b"weights %d" % step, owner), written(database, b"state %d" % step, owner)
    with database.write() as session:
        return CheckpointRepository(session).publish(
            job.id,
            job.token,
            weights=weights,
            state=state,
            step=step,
            epoch=1,
            metrics={"loss": 1.0 / step},
            best=best,
            keep_last=keep_last,
        )


def fill_every_table(database: Database) -> None:
    """At least one row in every table."""
    project_id = new_project(database)
    dataset = new_dataset(database, project_id, labels={"team": "vision"})
    with database.write() as session:
        claimed = DatasetRepository(session).claim_next("worker-1", 30.0)
        assert claimed is not None
    column = written(database, b"column")
    with database.write() as session:
        DatasetRepository(session).ready(dataset.id, claimed.token, {"format": "npz"}, {"image.npy": column})
        ApiKeyRepository(session).create(project_id, "first")
        model = ModelRepository(session).create(project_id, name="model", definition={"layers": []})
        WorkerRepository(session).beat("worker-1", "training", 1)
    job = claimed_job(database, project_id, dataset.id, model_id=model.id)
    publish(database, job, 1, best=True)
    point = MetricPoint(level="step", epoch=1, step=1, values={"loss": 1.0})
    event = NewEvent(type="log", message="hello", data={"a": [1, None]})
    with database.write() as session:
        RunningJobRepository(session).report(job.id, job.token, points=[point], events=[event])
    assert isinstance(reserve_or_wait(database, project_id, "key", "fingerprint"), Reserved)
