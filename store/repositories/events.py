"""Events of jobs: written by the repositories that change a job, read here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from store.base import storable_text, utc_now
from store.models import Event, Job
from store.repositories.pages import Order, Page, read_page


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """An event that has no number yet. `type` is status, metrics, checkpoint or log; `level` info, warning or error."""

    type: str
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)
    level: str = "info"
    at: datetime | None = None


@dataclass(frozen=True)
class Head:
    """How far a job's events go, and its status: what a stream polls."""

    seq: int
    status: str


class EventRepository:
    """Reading events, and numbering new ones."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def page(self, job_id: str, *, after: int | None = None, limit: int = 100, order: Order = "asc") -> Page[Event]:
        """A page of a job's events by their numbers."""
        statement = select(Event).where(Event.job_id == job_id)
        return read_page(self.session, statement, Event.seq, after=after, limit=limit, order=order)

    def heads(self, job_ids: Iterable[str]) -> dict[str, Head]:
        """The heads of many jobs in one query; a job that does not exist is absent."""
        statement = select(Job.id, Job.event_seq, Job.status).where(Job.id.in_(list(job_ids)))
        return {id: Head(seq, status) for id, seq, status in self.session.execute(statement)}

    def append(self, job_id: str, last: int, events: Sequence[NewEvent]) -> None:
        """Insert events that end with the number `last`, which the caller took by raising the job's `event_seq`."""
        if not events:
            return
        first = last - len(events) + 1
        rows = [
            {
                "job_id": job_id,
                "seq": first + offset,
                "created_at": event.at or utc_now(),
                "type": event.type,
                "level": event.level,
                "message": storable_text(event.message),
                "data": dict(event.data),
            }
            for offset, event in enumerate(events)
        ]
        self.session.execute(insert(Event), rows)
