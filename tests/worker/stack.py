"""Real processes for tests: a Valkey, the relay and Celery workers on one database, with short leases."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import update

from stokerd import broker
from store import migrate
from store.base import utc_now
from store.blobs import BlobWriter
from store.models import Checkpoint, Dataset, Event, Job
from store.repositories import (
    AttemptRepository,
    CheckpointRepository,
    DatasetRepository,
    EventRepository,
    JobRepository,
    ProjectRepository,
)
from store.session import Database
from store.settings import Settings
from worker.parent_death import die_with

T = TypeVar("T")
SOON = 20.0
"""Seconds within which what a user asks must happen: 2 on a machine that does nothing else, and tests share theirs.
What is not asked for takes minutes."""


class Stack:
    """What `stokerd up` runs, but for the API, and with every process in the test's hand."""

    def __init__(self, directory: Path, database_url: str = "", **settings: Any) -> None:
        self.runtime = broker.runtime_directory(directory)
        quick = {
            "lease_seconds": 6.0,
            "renew_seconds": 1.0,
            "poll_seconds": 0.2,
            "sweep_seconds": 1.0,
            "reap_seconds": 1.0,
        }
        self.settings = Settings(
            data_dir=directory, database_url=database_url, broker_url=broker.url(self.runtime), **{**quick, **settings}
        )
        self.log = directory / "processes.log"
        self.processes: list[subprocess.Popen[bytes]] = []
        migrate.upgrade(self.settings)
        self.database = Database(self.settings)
        with self.database.write() as session:
            projects = ProjectRepository(session)
            self.project = (projects.named("stack") or projects.create("stack")).id

    # Processes --------------------------------------------------------------------------------------------------------

    def run(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a process in a group of its own that dies with the test."""
        parent = os.getpid()
        environment = {**os.environ, **self.settings.to_environment(), "PYTHONUNBUFFERED": "1"}
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                preexec_fn=lambda: die_with(parent, signal.SIGKILL),
            )
        self.processes.append(process)
        return process

    def run_broker(self) -> subprocess.Popen[bytes]:
        """A Valkey that answers."""
        process = self.run(broker.command(self.runtime))
        assert broker.wait_until_answering(self.runtime)
        return process

    def run_relay(self) -> subprocess.Popen[bytes]:
        """The relay."""
        return self.run([sys.executable, "-m", "stokerd", "relay"])

    def run_worker(self, queue: str, concurrency: int = 1) -> subprocess.Popen[bytes]:
        """A Celery worker; it may still be starting."""
        return self.run(
            [sys.executable, "-m", "stokerd", "worker", "--queue", queue, "--concurrency", str(concurrency)]
        )

    def kill(self, process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
        """End a process and its group."""
        if process.poll() is None:
            os.killpg(process.pid, number)
        process.wait(30)

    def close(self) -> None:
        """End everything."""
        for process in self.processes:
            self.kill(process)
        self.database.close()
        shutil.rmtree(self.runtime, ignore_errors=True)

    def trainer(self, worker: subprocess.Popen[bytes]) -> int | None:
        """The pid of the process that a worker's supervisor has forked, if there is one."""
        return next((pid for child in children(worker.pid) for pid in children(child)), None)

    # Work -------------------------------------------------------------------------------------------------------------

    def upload(self, content: bytes, *, name: str = "points", filename: str = "points.npz", **more: Any) -> str:
        """A dataset that waits for its ingest; its id."""
        with BlobWriter(self.database) as source:
            source.write(content)
            source.flush()
            with self.database.write() as session:
                repository = DatasetRepository(session)
                return repository.create(self.project, name=name, source=source, filename=filename, **more).id

    def submit(self, dataset: str, spec: dict[str, Any]) -> str:
        """A queued job; its id."""
        with self.database.write() as session:
            return JobRepository(session).create(self.project, name="job", spec=spec, dataset_id=dataset).id

    def ask(self, method: str, job: str) -> None:
        """What a user asks: request_cancel, request_pause, resume or retry."""
        with self.database.write() as session:
            getattr(JobRepository(session), method)(self.project, job)

    def pass_lease(self, table: type[Dataset] | type[Job], id: str) -> None:
        """As if the time of its lease had passed; who held it must be dead."""
        with self.database.write() as session:
            session.execute(update(table).where(table.id == id).values(lease_until=utc_now()))

    def dataset(self, id: str) -> Dataset:
        """The row as it is now."""
        with self.database.read() as session:
            return DatasetRepository(session).get(self.project, id)

    def job(self, id: str) -> Job:
        """The row as it is now."""
        with self.database.read() as session:
            return JobRepository(session).get(self.project, id)

    def checkpoints(self, job: str) -> list[Checkpoint]:
        """Newest first."""
        with self.database.read() as session:
            return CheckpointRepository(session).page(job, limit=100).rows

    def events(self, job: str) -> list[Event]:
        """All events."""
        with self.database.read() as session:
            return EventRepository(session).page(job, limit=100_000).rows

    def outcomes(self, job: str) -> list[str | None]:
        """How each attempt ended."""
        with self.database.read() as session:
            return [attempt.outcome for attempt in AttemptRepository(session).list(job)]

    def until(self, look: Callable[[], T | None], seconds: float = 90.0) -> T:
        """What `look` returns once it is true; the processes' log if it never is."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < deadline, self.log.read_text(errors="replace")[-6000:]
            time.sleep(0.02)
        return found

    def until_status(self, job: str, *statuses: str, seconds: float = 90.0) -> Job:
        """The job once it has one of these statuses; at once an error if it has ended otherwise."""

        def look() -> Job | None:
            row = self.job(job)
            if row.status in statuses:
                return row
            ended = row.status in ("succeeded", "failed", "cancelled")
            assert not ended, (row.status, row.error, self.log.read_text(errors="replace")[-6000:])
            return None

        return self.until(look, seconds)

    def until_ingested(self, dataset: str, seconds: float = 90.0) -> Dataset:
        """The dataset once it is ready or failed."""
        return self.until(lambda: row if (row := self.dataset(dataset)).status != "processing" else None, seconds)


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(folder.name))
    return sorted(found)


def points(examples: int = 2000, features: int = 16, seed: int = 0) -> bytes:
    """An npz of two separable classes."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, examples).astype(np.int32)
    x = random.standard_normal((examples, features)).astype(np.float32) + labels[:, None]
    file = io.BytesIO()
    np.savez(file, x=x, y=labels)
    return file.getvalue()
