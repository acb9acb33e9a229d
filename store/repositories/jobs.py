"""Jobs: what users ask of them (create, read, cancel, pause, resume, retry). Workers use `running_jobs.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute

from store import outbox
from store.base import utc_now
from store.errors import IllegalTransition, NotFound, QuotaExceeded
from store.ids import new_id
from store.models import Checkpoint, Job
from store.repositories.events import EventRepository, NewEvent
from store.repositories.labels import has_labels
from store.repositories.leases import Flags, LeaseRepository
from store.repositories.pages import Order, Page, read_page
from store.repositories.projects import ProjectRepository
from store.states import CANCELLED, FAILED, PAUSED, QUEUED, RUNNING, SUCCEEDED, transition

TRAINING = "training"


class JobRows(LeaseRepository[Job]):
    """What both sides need: finding a job, and the two ways of changing one."""

    row = Job
    queue: ClassVar[str] = TRAINING

    def is_waiting(self) -> ColumnElement[bool]:
        """A queued job may be claimed."""
        return Job.status == QUEUED

    def is_held(self) -> ColumnElement[bool]:
        """A running job is held."""
        return Job.status == RUNNING

    def flag_columns(self) -> tuple[InstrumentedAttribute[Any], InstrumentedAttribute[Any]]:
        """Both are columns of their own."""
        return Job.cancel_requested_at, Job.pause_requested_at

    def _change(
        self, where: ColumnElement[bool], values: Mapping[str, Any], events: Sequence[NewEvent], job_id: str
    ) -> Flags | None:
        """One UPDATE that also takes the events' numbers: None if the job does not meet `where`."""
        numbered = {"event_seq": Job.event_seq + len(events), **values}
        changed = self._update((Job.id == job_id) & where, numbered, Job.event_seq, *self._flags())
        if changed is None:
            return None
        EventRepository(self.session).append(job_id, changed[0], events)
        return Flags(bool(changed[1]), bool(changed[2]))

    def _move(
        self,
        job_id: str,
        current: str,
        wanted: str,
        values: Mapping[str, Any],
        event: NewEvent,
        token: int | None = None,
    ) -> Flags | None:
        """Change the status, if the job still has `current` (and `token`). Raises IllegalTransition."""
        transition(current, wanted)
        where = Job.status == current
        if token is not None:
            where &= Job.token == token
        return self._change(where, {"status": wanted, **values}, [event], job_id)


def status_event(status: str, message: str, level: str = "info", **data: Any) -> NewEvent:
    """The event of a change of status."""
    return NewEvent(type="status", level=level, message=message, data={"status": status, **data})


def _refused(job: Job, wanted: str, rule: str) -> IllegalTransition:
    """A verb that came out of place: the rule, and what the job is."""
    now = {SUCCEEDED: "has succeeded", FAILED: "has failed"}.get(job.status, f"is {job.status}")
    return IllegalTransition(job.status, wanted, f"{rule}; this one {now}")


class JobRepository(JobRows):
    """A project's jobs. Methods that change something need a write session."""

    def create(
        self,
        project_id: str,
        *,
        name: str,
        spec: Mapping[str, Any],
        dataset_id: str,
        model_id: str | None = None,
        labels: Mapping[str, str] | None = None,
        priority: int = 0,
        queued_limit: int | None = None,
    ) -> Job:
        """A queued job, its first event and the wake-up message. Raises QuotaExceeded.

        The checkpoint that `spec["initial_weights"]` names is kept as long as the job. Raises NotFound if it is gone.
        """
        initial = (spec.get("initial_weights") or {}).get("checkpoint")
        if initial is not None:
            self._hold_checkpoint(initial)
        if queued_limit is not None:
            ProjectRepository(self.session).lock(project_id)
            if self.counts(project_id).get(QUEUED, 0) >= queued_limit:
                raise QuotaExceeded("queued jobs", queued_limit)
        job = Job(
            id=new_id("job"),
            project_id=project_id,
            name=name,
            labels=dict(labels or {}),
            status=QUEUED,
            spec=dict(spec),
            dataset_id=dataset_id,
            model_id=model_id,
            priority=priority,
            initial_checkpoint_id=initial,
            event_seq=1,
        )
        self.session.add(job)
        self.session.flush()
        EventRepository(self.session).append(job.id, 1, [status_event(QUEUED, "The job is queued.")])
        outbox.add(self.session, TRAINING, "created")
        return job

    def get(self, project_id: str, id: str) -> Job:
        """Raises NotFound, also for a job of another project."""
        statement = select(Job).where(Job.id == id, Job.project_id == project_id)
        job = self.session.scalar(statement.execution_options(populate_existing=True))
        if job is None:
            raise NotFound("job", id)
        return job

    def page(
        self,
        project_id: str,
        *,
        after: str | None = None,
        limit: int = 20,
        order: Order = "desc",
        status: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Page[Job]:
        """A page of the project's jobs, of one status and with all the `labels` if given."""
        statement = select(Job).where(Job.project_id == project_id, has_labels(self.session, Job.labels, labels or {}))
        if status is not None:
            statement = statement.where(Job.status == status)
        return read_page(self.session, statement, Job.id, after=after, limit=limit, order=order)

    def counts(self, project_id: str) -> dict[str, int]:
        """How many jobs the project has, by status."""
        statement = select(Job.status, func.count()).where(Job.project_id == project_id).group_by(Job.status)
        return {row.status: row[1] for row in self.session.execute(statement)}

    def request_cancel(self, project_id: str, id: str) -> Job:
        """A waiting or paused job is cancelled at once, a running one is asked to stop; asking again changes nothing.

        Raises IllegalTransition.
        """
        job = self._lock(project_id, id)
        if job.status in (SUCCEEDED, FAILED):
            raise _refused(job, CANCELLED, "only a job that has not ended can be cancelled")
        if job.status == RUNNING:
            if job.cancel_requested_at is None:
                self._request(id, "cancel_requested_at", "Cancelling was requested.")
        elif job.status != CANCELLED:
            now = utc_now()
            values = {"finished_at": now, "cancel_requested_at": now}
            self._move(id, job.status, CANCELLED, values, status_event(CANCELLED, "The job was cancelled."))
        return self.get(project_id, id)

    def request_pause(self, project_id: str, id: str) -> Job:
        """A running job is asked to write a checkpoint and stop. Raises IllegalTransition."""
        job = self._lock(project_id, id)
        if job.status == PAUSED:
            raise IllegalTransition(PAUSED, PAUSED, "the job is already paused")
        if job.status != RUNNING:
            raise _refused(job, PAUSED, "only a running job can be paused")
        if job.pause_requested_at is None:
            self._request(id, "pause_requested_at", "Pausing was requested.")
        return self.get(project_id, id)

    def resume(self, project_id: str, id: str) -> Job:
        """A paused job waits for a worker again. Raises IllegalTransition."""
        job = self._lock(project_id, id)
        if job.status != PAUSED:
            raise _refused(job, QUEUED, "only a paused job can be resumed")
        values = {"pause_requested_at": None, "attempts_without_progress": 0, "queued_at": utc_now()}
        return self._requeue(job, values, "resumed", "The job was resumed and is queued.")

    def retry(self, project_id: str, id: str) -> Job:
        """A failed or cancelled job starts again from its latest checkpoint. Raises IllegalTransition."""
        job = self._lock(project_id, id)
        if job.status not in (FAILED, CANCELLED):
            raise _refused(job, QUEUED, "only a failed or cancelled job can be retried")
        values = {
            "attempt": 0,
            "attempts_without_progress": 0,
            "error": None,
            "finished_at": None,
            "cancel_requested_at": None,
            "pause_requested_at": None,
            "queued_at": utc_now(),
        }
        return self._requeue(job, values, "retried", "The job is queued again.")

    def _requeue(self, job: Job, values: Mapping[str, Any], reason: str, message: str) -> Job:
        self._move(job.id, job.status, QUEUED, values, status_event(QUEUED, message))
        outbox.add(self.session, TRAINING, reason)
        return self.get(job.project_id, job.id)

    def _request(self, id: str, column: str, message: str) -> None:
        event = NewEvent(type="log", message=message)
        self._change(Job.status == RUNNING, {column: utc_now()}, [event], id)

    def _hold_checkpoint(self, id: str) -> None:
        statement = select(Checkpoint.id).where(Checkpoint.id == id).with_for_update(read=True, key_share=True)
        if self.session.scalar(statement) is None:
            raise NotFound("checkpoint", id)

    def _lock(self, project_id: str, id: str) -> Job:
        statement = select(Job).where(Job.id == id, Job.project_id == project_id).with_for_update(key_share=True)
        job = self.session.scalar(statement.execution_options(populate_existing=True))
        if job is None:
            raise NotFound("job", id)
        return job
