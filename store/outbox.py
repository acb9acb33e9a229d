"""The outbox: wake-up messages written in the transaction of the work they announce, and sent after its commit.

A row is held while a relay sends it and removed afterwards: a crash in between sends it again, which only wakes a
worker that finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from store.base import clock
from store.models import OutboxRow


@dataclass(frozen=True)
class Message:
    """One wake-up for the workers of `queue`."""

    id: int
    queue: str
    reason: str


def add(session: Session, queue: str, reason: str) -> None:
    """Announce work on `queue`; `reason` is for people who look into the table."""
    session.add(OutboxRow(queue=queue, reason=reason))


def take(session: Session, *, limit: int = 100, hold_seconds: float = 30.0) -> list[Message]:
    """Hold the oldest messages that no other relay holds. Commit, send them, then call `sent`."""
    free = or_(OutboxRow.held_until.is_(None), OutboxRow.held_until < clock())
    oldest = select(OutboxRow.id).where(free).order_by(OutboxRow.id).limit(limit).with_for_update(skip_locked=True)
    ids = list(session.scalars(oldest))
    if not ids:
        return []
    held = update(OutboxRow).where(OutboxRow.id.in_(ids)).values(held_until=clock(hold_seconds))
    rows = session.execute(
        held.returning(OutboxRow.id, OutboxRow.queue, OutboxRow.reason),
        execution_options={"synchronize_session": False},
    )
    return sorted((Message(*row) for row in rows), key=lambda message: message.id)


def sent(session: Session, ids: Sequence[int]) -> None:
    """These messages are with the broker."""
    session.execute(delete(OutboxRow).where(OutboxRow.id.in_(list(ids))))


def pending(session: Session) -> dict[str, int]:
    """How many messages wait to be sent, by queue."""
    rows = session.execute(select(OutboxRow.queue, func.count()).group_by(OutboxRow.queue))
    return {row.queue: row[1] for row in rows}
