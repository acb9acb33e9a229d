"""Events of jobs."""

from __future__ import annotations

from typing import Literal

from api.errors import invalid
from api.schemas.base import Answer, Document, Time
from store.models import Event

_DIGITS = 12


class EventAnswer(Answer):
    """Something that happened to a job. Ids order events within a job; a stream's `id:` is the number in them."""

    id: str
    object: Literal["job.event"] = "job.event"
    job: str
    created_at: Time
    type: Literal["status", "metrics", "checkpoint", "log"]
    level: Literal["info", "warning", "error"]
    message: str
    data: Document


def to_event(row: Event) -> EventAnswer:
    """The answer for a row."""
    return EventAnswer.model_construct(
        id=f"evt_{row.job_id.removeprefix('job_')}_{row.seq:0{_DIGITS}d}",
        job=row.job_id,
        created_at=row.created_at,
        type=row.type,
        level=row.level,
        message=row.message,
        data=row.data,
    )


def read_cursor(after: str | None, job_id: str, *, parameter: str) -> int | None:
    """The number of the event that `after` names, by its id or by the number itself. Raises Problem."""
    if after is None:
        return None
    digits = after.removeprefix(f"evt_{job_id.removeprefix('job_')}_")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _DIGITS):
        detail = "expected the id of an event of this job or its number, received something else"
        raise invalid(detail, parameter=parameter, code="invalid_cursor")
    return int(digits)
