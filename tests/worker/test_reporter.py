"""The reporter against a real database, with checkpoint files as the engine would hand them over."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from engine.progress import Checkpoint, CheckpointFiles, Metrics, Progress
from store.blobs import read_blob
from store.models import Blob, Event, Job
from store.repositories import CheckpointRepository, EventRepository, JobRepository, MetricRepository
from store.repositories.running_jobs import RunningJobRepository
from store.session import Database
from tests.store.rows import claimed_job, new_dataset, new_project
from worker.notice import CANCEL, Notice
from worker.reporter import StoreReporter, StoringFailed
from worker.writing import keep_writing


@pytest.fixture
def job(sqlite_database: Database) -> Job:
    project = new_project(sqlite_database)
    return claimed_job(sqlite_database, project, new_dataset(sqlite_database, project).id)


def reporter_of(database: Database, job: Job, notice: Notice | None = None) -> StoreReporter:
    return StoreReporter(database, job.id, job.token, notice or Notice(), keep_last=2, metrics=job.metrics)


def checkpoint(folder: Path, step: int, *, size: int = 1000, best: bool = False, final: bool = False) -> Checkpoint:
    files = CheckpointFiles(folder / f"weights-{step}", folder / f"state-{step}")
    files.weights.write_bytes(os.urandom(size))
    files.state.write_bytes(os.urandom(100))
    return Checkpoint(files=files, step=step, epoch=step, metrics={"val_loss": 1 / step}, best=best, final=final)


def progress(step: int) -> Progress:
    return Progress(epoch=1, epochs=2, step=step, steps=100, examples_per_second=10.0, eta_seconds=1.0)


def test_everything_said_is_stored_in_order(sqlite_database, job, tmp_path):
    reporter = reporter_of(sqlite_database, job)
    reporter.progress(progress(3))
    reporter.metrics(Metrics(level="step", epoch=1, step=3, values={"loss": 0.5}))
    reporter.log("warning", "careful", {"node": "dense"})
    one = checkpoint(tmp_path, 4, size=3_000_000, best=True)
    digest = hashlib.sha256(one.files.weights.read_bytes()).hexdigest()
    reporter.checkpoint(one)
    reporter.metrics(Metrics(level="epoch", epoch=1, step=4, values={"loss": 0.4, "val_loss": float("nan")}))
    assert reporter.end() is None
    with sqlite_database.read() as session:
        row = JobRepository(session).get(job.project_id, job.id)
        assert row.progress is not None
        assert row.progress["step"] == 3
        assert row.metrics == {
            "latest": {"loss": 0.4, "val_loss": None},
            "best": {"val_loss": 0.25, "epoch": 4, "step": 4},
        }
        types = [event.type for event in EventRepository(session).page(job.id).rows]
        assert sorted(types[2:]) == ["checkpoint", "log", "metrics", "metrics"]
        assert types.index("log") < types.index("checkpoint")
        series = {
            (one.name, one.level): [point.value for point in one.points]
            for one in MetricRepository(session).series(job.id)
        }
        assert series == {("loss", "step"): [0.5], ("loss", "epoch"): [0.4], ("val_loss", "epoch"): [None]}
        stored = CheckpointRepository(session).find(str(row.latest_checkpoint_id))
        assert stored is not None
    assert hashlib.sha256(b"".join(read_blob(sqlite_database, stored.weights_blob))).hexdigest() == digest
    assert list(tmp_path.glob("weights-*")) == []


def test_batches_go_out_at_most_twice_a_second(sqlite_database, job, monkeypatch):
    batches: list[float] = []

    def counted(*arguments, **options):
        batches.append(time.monotonic())
        return keep_writing(*arguments, **options)

    monkeypatch.setattr("worker.reporter.keep_writing", counted)
    reporter = reporter_of(sqlite_database, job)
    begun = time.monotonic()
    step = 0
    while time.monotonic() - begun < 2.0:
        step += 1
        reporter.progress(progress(step))
        reporter.metrics(Metrics(level="step", epoch=1, step=step, values={"loss": 1.0}))
        time.sleep(0.005)
    reporter.end()
    with sqlite_database.read() as session:
        events = select(func.count()).select_from(Event).where(Event.job_id == job.id, Event.type == "metrics")
        points = MetricRepository(session).series(job.id, max_points=10_000)[0].points
        assert session.scalar(events) == len(points) == step
    assert 3 <= len(batches) <= 6


def test_the_final_checkpoint_is_published_with_the_end(sqlite_database, job, tmp_path):
    reporter = reporter_of(sqlite_database, job)
    reporter.checkpoint(checkpoint(tmp_path, 1))
    reporter.checkpoint(checkpoint(tmp_path, 2, final=True))
    final = reporter.end()
    assert final is not None
    with sqlite_database.read() as session:
        assert [one.step for one in CheckpointRepository(session).page(job.id).rows] == [1]
    with sqlite_database.write() as session:
        reporter.publish(session, final)
        RunningJobRepository(session).finish(job.id, job.token, "succeeded")
    with sqlite_database.read() as session:
        assert [one.step for one in CheckpointRepository(session).page(job.id).rows] == [2, 1]
        events = EventRepository(session).page(job.id).rows
    assert [event.message for event in events if event.type == "checkpoint"] == [
        "Checkpoint at step 1, epoch 1.",
        "Checkpoint at step 2, epoch 2, the last.",
    ]


def test_training_waits_only_for_the_checkpoint_before(sqlite_database, job, tmp_path, monkeypatch):
    storing = threading.Event()
    go_on = threading.Event()
    store = StoreReporter._store

    def slow(self: StoreReporter, one: Checkpoint) -> None:
        storing.set()
        go_on.wait(10)
        store(self, one)

    monkeypatch.setattr(StoreReporter, "_store", slow)
    reporter = reporter_of(sqlite_database, job)
    begun = time.monotonic()
    reporter.checkpoint(checkpoint(tmp_path, 1))
    assert time.monotonic() - begun < 0.5
    assert storing.wait(5)
    threading.Timer(0.5, go_on.set).start()
    reporter.checkpoint(checkpoint(tmp_path, 2))
    assert time.monotonic() - begun >= 0.5
    reporter.end()
    with sqlite_database.read() as session:
        assert [one.step for one in CheckpointRepository(session).page(job.id).rows] == [2, 1]


def test_nothing_more_is_stored_for_a_job_that_is_being_cancelled(sqlite_database, job, tmp_path):
    notice = Notice()
    reporter = reporter_of(sqlite_database, job, notice)
    notice.post(CANCEL)
    reporter.checkpoint(checkpoint(tmp_path, 1, size=3_000_000))
    reporter.end()
    with sqlite_database.read() as session:
        assert CheckpointRepository(session).page(job.id).rows == []
        unfinished = select(func.count()).select_from(Blob).where(Blob.owner.is_not(None), Blob.sha256.is_(None))
        assert session.scalar(unfinished) == 0


def test_training_learns_that_storing_failed(sqlite_database, job, tmp_path):
    reporter = reporter_of(sqlite_database, job)
    broken = checkpoint(tmp_path, 1)
    broken.files.state.unlink()
    reporter.checkpoint(broken)
    with pytest.raises(StoringFailed):
        for _ in range(1000):
            reporter.progress(progress(1))
            time.sleep(0.01)
    with pytest.raises(StoringFailed):
        reporter.end()


def test_a_lost_lease_ends_the_process_without_another_write(sqlite_database, job):
    with sqlite_database.write() as session:
        RunningJobRepository(session).lose(job.id, job.token, "Somebody took it.")
    sqlite_database.close()
    pid = os.fork()
    if pid == 0:
        database = Database(sqlite_database.settings)
        reporter = reporter_of(database, job)
        reporter.log("info", "still here", {})
        time.sleep(10)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    with sqlite_database.read() as session:
        assert "still here" not in [event.message for event in EventRepository(session).page(job.id).rows]
