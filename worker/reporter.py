"""What the engine says goes to the store, from a thread of its own, so that training never waits for the database.

Batches go out at most twice a second. A checkpoint is stored chunk by chunk while training goes on; a second one waits
until the first is published (back-pressure), so that at most one lies about. Every transaction begins with the fenced
UPDATE; a lost lease ends the process from within whichever thread meets it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy.orm import Session

from engine.progress import Checkpoint, Metrics, Progress
from store.base import utc_now
from store.blobs import BlobWriter
from store.repositories.checkpoints import CheckpointRepository
from store.repositories.events import NewEvent
from store.repositories.metrics import MetricPoint
from store.repositories.running_jobs import RunningJobRepository
from store.session import Database
from worker import files
from worker.lease import UNREACHABLE
from worker.notice import CANCEL, Notice
from worker.writing import Patience, keep_writing, leave

BATCH_SECONDS = 0.5
BACK_PRESSURE_SECONDS = 0.05
SHOWN_METRICS = 6

log = logging.getLogger("stoker.worker")


class Abandoned(Exception):
    """The job is being cancelled: what was being stored is of no use any more."""


class StoringFailed(Exception):
    """What training reports cannot be stored, for a reason that is not the job's: another attempt may do better."""


@dataclass
class StoredCheckpoint:
    """A checkpoint whose chunks are in the store, and which nobody sees until it is published."""

    checkpoint: Checkpoint
    weights: BlobWriter
    state: BlobWriter

    def abort(self) -> None:
        """Remove the chunks."""
        for writer in (self.weights, self.state):
            with contextlib.suppress(Exception):
                writer.abort()


class StoreReporter:
    """The engine's Reporter for one claim of one job."""

    def __init__(
        self,
        database: Database,
        job_id: str,
        token: int,
        notice: Notice,
        *,
        keep_last: int,
        metrics: Mapping[str, Any] | None,
    ) -> None:
        self._database = database
        self._job_id = job_id
        self._token = token
        self._notice = notice
        self._keep_last = max(keep_last, 2)  # so that there is one to fall back to
        self._job_metrics: dict[str, Any] = {"latest": {}, "best": None, **(metrics or {})}
        self._lock = threading.Condition()
        self._progress: Progress | None = None
        self._points: list[MetricPoint] = []
        self._events: list[NewEvent] = []
        self._metrics_changed = False
        self._waiting: Checkpoint | None = None
        self._busy = False
        self._final: StoredCheckpoint | None = None
        self._ending = False
        self._failure: BaseException | None = None
        self._looked_at = self._flushed_at = 0.0
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
        self._thread.start()

    # Called by the training thread ----------------------------------------------------------------------------------

    def progress(self, progress: Progress) -> None:
        """Keeps the newest; also where training learns that storing has failed."""
        self._progress = progress
        if self._failure is not None:
            raise StoringFailed(str(self._failure)) from self._failure

    def metrics(self, metrics: Metrics) -> None:
        """A point of the series, and an event."""
        values = {name: float(value) for name, value in metrics.values.items()}
        data = {"level": metrics.level, "epoch": metrics.epoch, "step": metrics.step, "values": values}
        shown = ", ".join(f"{name} {value:.4g}" for name, value in list(values.items())[:SHOWN_METRICS])
        now = utc_now()
        message = f"Epoch {metrics.epoch}, step {metrics.step}: {shown}"
        event = NewEvent(type="metrics", message=message, data=data, at=now)
        with self._lock:
            self._points.append(
                MetricPoint(level=metrics.level, epoch=metrics.epoch, step=metrics.step, values=values, at=now)
            )
            self._events.append(event)
            self._job_metrics["latest"] = {**self._job_metrics["latest"], **values}
            self._metrics_changed = True
            self._lock.notify_all()

    def log(self, level: Literal["info", "warning", "error"], message: str, data: Mapping[str, Any]) -> None:
        """An event."""
        with self._lock:
            self._events.append(NewEvent(type="log", level=level, message=message, data=dict(data), at=utc_now()))

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Hands the checkpoint to the storing thread; waits only while the one before is still being stored."""
        with self._lock:
            while (self._waiting is not None or self._busy) and self._failure is None:
                if self._notice.read() >= CANCEL:
                    return
                self._lock.wait(BACK_PRESSURE_SECONDS)
            if self._failure is not None:
                raise StoringFailed(str(self._failure)) from self._failure
            self._waiting = checkpoint
            self._lock.notify_all()

    def end(self) -> StoredCheckpoint | None:
        """Wait until everything is stored; the final checkpoint, stored and not yet published, if there was one."""
        with self._lock:
            self._ending = True
            self._lock.notify_all()
        self._thread.join()
        if self._failure is not None:
            raise StoringFailed(str(self._failure)) from self._failure
        return self._final

    def publish(self, session: Session, stored: StoredCheckpoint) -> Literal[True]:
        """Make a stored checkpoint the job's latest, in the caller's transaction."""
        checkpoint = stored.checkpoint
        with self._lock:
            metrics, progress = dict(self._job_metrics), self._progress
        if checkpoint.best:
            metrics["best"] = {**checkpoint.metrics, "epoch": checkpoint.epoch, "step": checkpoint.step}
        CheckpointRepository(session).publish(
            self._job_id,
            self._token,
            weights=stored.weights,
            state=stored.state,
            step=checkpoint.step,
            epoch=checkpoint.epoch,
            metrics=checkpoint.metrics,
            best=checkpoint.best,
            final=checkpoint.final,
            keep_last=self._keep_last,
            job_metrics=metrics,
            progress=asdict(progress) if progress is not None else None,
        )
        with self._lock:
            self._job_metrics["best"] = metrics["best"]
        return True

    # The storing thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._finished():
                self._flush()
                with self._lock:
                    checkpoint, self._waiting = self._waiting, None
                    self._busy = checkpoint is not None
                if checkpoint is not None:
                    self._store(checkpoint)
                    with self._lock:
                        self._busy = False
                        self._lock.notify_all()
            self._flush()
        except BaseException as error:
            log.exception("%s: storing what training reports has failed", self._job_id)
            with self._lock:
                self._failure = error
                self._lock.notify_all()

    def _finished(self) -> bool:
        """Wait for something to do or for the next batch's time; whether nothing more can come."""
        with self._lock:
            while self._waiting is None and not self._ending:
                left = self._looked_at + BATCH_SECONDS - time.monotonic()
                rested = self._flushed_at + BATCH_SECONDS <= time.monotonic()
                if left <= 0 or (rested and self._points):  # the first points go out at once
                    break
                self._lock.wait(left)
            return self._ending and self._waiting is None

    def _flush(self) -> None:
        """Send the batch, if there is anything in it."""
        self._looked_at = time.monotonic()
        if not self._notice.is_good():
            leave("the lease was not prolonged in time")
        with self._lock:
            points, self._points = self._points, []
            events, self._events = self._events, []
            progress, self._progress = self._progress, None
            metrics = dict(self._job_metrics) if self._metrics_changed else None
            self._metrics_changed = False
        if progress is None and metrics is None and not events:
            return
        self._flushed_at = self._looked_at

        def write(session: Session) -> None:
            RunningJobRepository(session).report(
                self._job_id,
                self._token,
                progress=asdict(progress) if progress is not None else None,
                metrics=metrics,
                points=points,
                events=events,
            )

        keep_writing(self._database, self._notice, write)

    def _store(self, checkpoint: Checkpoint) -> None:
        owner = f"{self._job_id}:{self._token}"
        try:
            weights = self._store_file(checkpoint.files.weights, owner)
            try:
                state = self._store_file(checkpoint.files.state, owner)
            except Abandoned:
                weights.abort()
                raise
        except Abandoned:
            return
        finished = StoredCheckpoint(checkpoint, weights, state)
        for source in (checkpoint.files.weights, checkpoint.files.state):
            source.unlink(missing_ok=True)
        if checkpoint.final:
            self._final = finished
            return
        self._flush()  # what was said before this checkpoint is stored before it
        keep_writing(
            self._database,
            self._notice,
            lambda session: self.publish(session, finished),
            landed=lambda session: self._is_published(session, finished),
        )

    def _store_file(self, source: Path, owner: str) -> BlobWriter:
        patience = Patience(f"{self._job_id}: storing a checkpoint's file")
        while True:
            try:
                return files.store(self._database, source, owner, self._between_chunks)
            except UNREACHABLE as error:
                patience.wait(error)
                self._between_chunks()

    def _between_chunks(self) -> None:
        """Batches go on while a large file is being stored."""
        if self._notice.read() >= CANCEL:
            raise Abandoned
        if time.monotonic() - self._looked_at >= BATCH_SECONDS:
            self._flush()

    def _is_published(self, session: Session, stored: StoredCheckpoint) -> Literal[True] | None:
        job = RunningJobRepository(session).find(self._job_id)
        if job is None or job.latest_checkpoint_id is None:
            return None
        latest = CheckpointRepository(session).find(job.latest_checkpoint_id)
        mine = (self._token, stored.checkpoint.step, stored.weights.sha256)
        return True if latest is not None and (latest.token, latest.step, latest.sha256) == mine else None
