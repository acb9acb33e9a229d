"""Checkpoints: published by the worker that holds the job, read by everybody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from store.blobs import BlobWriter, touch_blobs
from store.errors import NotFound
from store.ids import new_id
from store.models import Checkpoint, Job
from store.repositories.events import NewEvent
from store.repositories.pages import Order, Page, read_page
from store.repositories.running_jobs import RunningJobRepository

NO_SYNC = {"synchronize_session": False}


class CheckpointRepository:
    """A job's checkpoints."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def publish(
        self,
        job_id: str,
        token: int,
        *,
        weights: BlobWriter,
        state: BlobWriter,
        step: int,
        epoch: int,
        metrics: Mapping[str, Any],
        best: bool,
        final: bool = False,
        manifest: Mapping[str, Any] | None = None,
        keep_last: int = 2,
        job_metrics: Mapping[str, Any] | None = None,
        progress: Mapping[str, Any] | None = None,
    ) -> Checkpoint:
        """Make a stored checkpoint the job's latest (and its best), together with what the job says of itself.

        Older ones go, but for the `keep_last` newest (always two, so that there is one to fall back to), the best, and
        those that other jobs start from. Call `flush` on both writers before, so that this
        transaction is short. Raises LeaseLost, BlobGone, CorruptBlob.
        """
        id = new_id("checkpoint")
        values: dict[str, Any] = {"latest_checkpoint_id": id, "attempts_without_progress": 0}
        if best:
            values["best_checkpoint_id"] = id
        if job_metrics is not None:
            values["metrics"] = dict(job_metrics)
        if progress is not None:
            values["progress"] = dict(progress)
        data = {
            "checkpoint": id,
            "step": step,
            "epoch": epoch,
            "best": best,
            "final": final,
            "metrics": dict(metrics),
            "bytes": weights.size_bytes,
        }
        said = [name for name, holds in (("the best so far", best), ("the last", final)) if holds]
        message = ", ".join([f"Checkpoint at step {step}, epoch {epoch}", *said]) + "."
        event = NewEvent(type="checkpoint", message=message, data=data)
        RunningJobRepository(self.session).fence(job_id, token, events=[event], values=values)
        # In the order of the content's digest, so that two jobs with the same files do not wait for each other.
        infos = {
            writer.id: writer.commit(self.session) for writer in sorted((weights, state), key=lambda one: one.sha256)
        }
        checkpoint = Checkpoint(
            id=id,
            job_id=job_id,
            token=token,
            step=step,
            epoch=epoch,
            metrics=dict(metrics),
            manifest=dict(manifest or {}),
            best=best,
            weights_blob=infos[weights.id].id,
            size_bytes=weights.size_bytes,
            sha256=weights.sha256,
            state_blob=infos[state.id].id,
            state_bytes=state.size_bytes,
            state_sha256=state.sha256,
        )
        self.session.add(checkpoint)
        self.session.flush()
        self._prune(job_id, max(keep_last, 2))
        return checkpoint

    def discard(self, job_id: str, token: int, checkpoint_id: str, reason: str) -> Checkpoint | None:
        """The checkpoint cannot be read: mark it, warn with an event, fall back to the one before and return it.

        Raises LeaseLost.
        """
        running = RunningJobRepository(self.session)
        running.fence(job_id, token)
        marked = (
            update(Checkpoint).where(Checkpoint.id == checkpoint_id, Checkpoint.job_id == job_id).values(corrupt=True)
        )
        self.session.execute(marked, execution_options=NO_SYNC)
        sound = [row for row in self._newest_first(job_id) if not row.corrupt]
        latest = sound[0] if sound else None
        best = next((row.id for row in sound if row.best), None)
        values = {"latest_checkpoint_id": latest.id if latest else None, "best_checkpoint_id": best}
        instead = f"going on from step {latest.step}" if latest else "starting from the beginning"
        message = f"Checkpoint {checkpoint_id} is unreadable ({reason}); {instead}."
        event = NewEvent(type="log", level="warning", message=message, data={"checkpoint": checkpoint_id})
        running.fence(job_id, token, events=[event], values=values)
        return latest

    def find(self, checkpoint_id: str) -> Checkpoint | None:
        """The checkpoint, of any job; for workers."""
        return self.session.get(Checkpoint, checkpoint_id)

    def get(self, project_id: str, job_id: str, id: str) -> Checkpoint:
        """Raises NotFound, also for one of another job or project."""
        statement = select(Checkpoint).join(Job, Job.id == Checkpoint.job_id)
        statement = statement.where(Checkpoint.id == id, Checkpoint.job_id == job_id, Job.project_id == project_id)
        checkpoint = self.session.scalar(statement)
        if checkpoint is None:
            raise NotFound("checkpoint", id)
        return checkpoint

    def page(
        self, job_id: str, *, after: str | None = None, limit: int = 20, order: Order = "desc"
    ) -> Page[Checkpoint]:
        """A page of the job's checkpoints; the caller has made sure that the job may be seen."""
        statement = select(Checkpoint).where(Checkpoint.job_id == job_id)
        return read_page(self.session, statement, Checkpoint.id, after=after, limit=limit, order=order)

    def _newest_first(self, job_id: str) -> list[Checkpoint]:
        statement = select(Checkpoint).where(Checkpoint.job_id == job_id).order_by(Checkpoint.id.desc())
        return list(self.session.scalars(statement.execution_options(populate_existing=True)))

    def _prune(self, job_id: str, keep_last: int) -> None:
        best = self.session.scalar(select(Job.best_checkpoint_id).where(Job.id == job_id))
        old = [row.id for row in self._newest_first(job_id)[keep_last:] if row.id != best]
        if old:
            # Locked first: whoever creates a job that starts from one of them holds it, or finds it gone.
            locked = select(Checkpoint.id).where(Checkpoint.id.in_(old)).with_for_update(skip_locked=True)
            ids = set(self.session.scalars(locked))
            ids -= set(
                self.session.scalars(select(Job.initial_checkpoint_id).where(Job.initial_checkpoint_id.in_(ids)))
            )
            gone = (
                delete(Checkpoint)
                .where(Checkpoint.id.in_(ids))
                .returning(Checkpoint.weights_blob, Checkpoint.state_blob)
            )
            rows = self.session.execute(gone, execution_options=NO_SYNC)
            touch_blobs(self.session, sorted({blob_id for row in rows for blob_id in row}))
