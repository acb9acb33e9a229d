"""Jobs as workers and the reaper see them: claim, report, finish, release, reap.

Every method that takes (id, token) begins with an UPDATE on the held row and raises LeaseLost if there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import case, func, select, update

from store import outbox
from store.base import clock
from store.errors import LeaseLost
from store.models import Checkpoint, Job, Project
from store.repositories.attempts import AttemptRepository
from store.repositories.events import NewEvent
from store.repositories.jobs import TRAINING, JobRows, status_event
from store.repositories.leases import Flags, LosableRepository
from store.repositories.metrics import MetricPoint, MetricRepository
from store.states import CANCELLED, FAILED, PAUSED, QUEUED, RUNNING, SUCCEEDED, transition

MESSAGES = {
    SUCCEEDED: "The job succeeded.",
    FAILED: "The job failed.",
    CANCELLED: "The job was cancelled.",
    PAUSED: "The job is paused.",
}


class RunningJobRepository(JobRows, LosableRepository[Job]):
    """All projects' jobs, for workers and the relay. Methods that change something need a write session."""

    def claim_next(self, worker: str, lease_seconds: float, *, running_limit: int | None = None) -> Job | None:
        """Claim the next job: highest priority, then the project with the fewest running, then the one that waited
        longest for a worker, then the oldest. None if there is none, or none whose project may run another."""
        while (id := self._next(running_limit)) is not None:
            transition(QUEUED, RUNNING)
            if not self._claim(id, worker, lease_seconds, {"status": RUNNING}):
                continue
            job = self.find(id)
            assert job is not None
            event = self._beginning(job)
            self._change(Job.status == RUNNING, {}, [event], id)
            AttemptRepository(self.session).begin(id, job.token, job.attempt, worker)
            touch = update(Project).where(Project.id == job.project_id).values(claimed_at=clock())
            self.session.execute(touch, execution_options={"synchronize_session": False})
            return self.find(id)
        return None

    def _beginning(self, job: Job) -> NewEvent:
        """An attempt's first event: from nothing, or from where the checkpoint is that it goes on from."""
        latest = self.session.get(Checkpoint, job.latest_checkpoint_id) if job.latest_checkpoint_id else None
        if latest is None:
            return status_event(RUNNING, f"Attempt {job.attempt} has started.", attempt=job.attempt)
        message = f"Attempt {job.attempt} goes on from step {latest.step}, epoch {latest.epoch}."
        return status_event(
            RUNNING, message, attempt=job.attempt, checkpoint=latest.id, step=latest.step, epoch=latest.epoch
        )

    def fence(
        self, id: str, token: int, *, events: Sequence[NewEvent] = (), values: Mapping[str, Any] | None = None
    ) -> Flags:
        """The UPDATE that begins every write of a worker; it also numbers and adds `events`. Raises LeaseLost."""
        flags = self._change(self._held_by(id, token), values or {}, events, id)
        if flags is None:
            raise LeaseLost(id, token)
        return flags

    def report(
        self,
        id: str,
        token: int,
        *,
        progress: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
        points: Sequence[MetricPoint] = (),
        events: Sequence[NewEvent] = (),
    ) -> Flags:
        """A batch of what training said. `progress` and `metrics` replace the job's own. Raises LeaseLost."""
        flags = self.fence(id, token, events=events, values=_given(progress=progress, metrics=metrics))
        MetricRepository(self.session).add(id, points)
        return flags

    def finish(
        self,
        id: str,
        token: int,
        status: str,
        *,
        error: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
        progress: Mapping[str, Any] | None = None,
    ) -> None:
        """End the attempt as succeeded, failed (with `error` {code, message, pointer}), cancelled or paused.

        Raises LeaseLost.
        """
        if status not in MESSAGES:
            raise ValueError(f"status: expected one of {', '.join(MESSAGES)}, received {status}")
        message = str(error["message"]) if error else MESSAGES[status]
        data = {"error": dict(error)} if error else {}
        values = {"error": dict(error) if error else None, **_given(progress=progress, metrics=metrics)}
        if status != PAUSED:
            values["finished_at"] = clock()
        self._leave(
            id,
            token,
            status,
            values,
            status_event(status, message, "error" if error else "info", **data),
            status,
            error,
        )

    def release(self, id: str, token: int, message: str = "The worker is shutting down.") -> str:
        """Give the job back without consuming an attempt; the status it has then. Raises LeaseLost.

        If a user asked for cancelling or pausing meanwhile, that is what happens.
        """
        flags = self.fence(id, token)
        if flags.cancel or flags.pause:
            wanted = CANCELLED if flags.cancel else PAUSED
            self.finish(id, token, wanted)
            return wanted
        values = {
            "attempt": Job.attempt - 1,
            "attempts_without_progress": case(
                (Job.attempts_without_progress > 0, Job.attempts_without_progress - 1), else_=0
            ),
        }
        self._leave(id, token, QUEUED, values, status_event(QUEUED, f"{message} The job is queued again."), "released")
        outbox.add(self.session, TRAINING, "released")
        return QUEUED

    def _lose(self, id: str, token: int, flags: Flags, without_progress: int, cause: str, attempts: int) -> str:
        error: dict[str, Any] | None = None
        if flags.cancel or flags.pause:
            wanted, message = (CANCELLED, MESSAGES[CANCELLED]) if flags.cancel else (PAUSED, MESSAGES[PAUSED])
        elif without_progress < attempts:
            wanted, message = QUEUED, "The job is queued again."
        else:
            message = f"{without_progress} attempts in a row ended without a new checkpoint."
            wanted, error = FAILED, {"code": "worker_lost", "message": f"{cause} {message}", "pointer": None}
        values: dict[str, Any] = {"error": error}
        if wanted in (FAILED, CANCELLED):
            values["finished_at"] = clock()
        level, data = ("error", {"error": error}) if error else ("warning", {})
        self._leave(id, token, wanted, values, status_event(wanted, f"{cause} {message}", level, **data), "lost", error)
        if wanted == QUEUED:
            outbox.add(self.session, TRAINING, "lost")
        return wanted

    def _leave(
        self,
        id: str,
        token: int,
        wanted: str,
        values: Mapping[str, Any],
        event: NewEvent,
        outcome: str,
        error: Mapping[str, Any] | None = None,
    ) -> None:
        freed = {"lease_until": None, "worker": None, **values}
        if self._move(id, RUNNING, wanted, freed, event, token) is None:
            raise LeaseLost(id, token)
        AttemptRepository(self.session).end(id, token, outcome, error)

    def _next(self, running_limit: int | None) -> str | None:
        running = (
            select(Job.project_id, func.count().label("count"))
            .where(Job.status == RUNNING)
            .group_by(Job.project_id)
            .subquery()
        )
        count = func.coalesce(running.c.count, 0)
        statement = (
            select(Job.id)
            .join(Project, Project.id == Job.project_id)
            .outerjoin(running, running.c.project_id == Job.project_id)
            .where(Job.status == QUEUED)
            .order_by(Job.priority.desc(), count, Project.claimed_at.nulls_first(), Job.queued_at, Job.id)
            .limit(1)
            .with_for_update(of=Job, skip_locked=True, key_share=True)
        )
        if running_limit is not None:
            statement = statement.where(count < running_limit)
        return self.session.scalar(statement)


def _given(**values: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: dict(value) for name, value in values.items() if value is not None}
