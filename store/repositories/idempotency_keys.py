"""Idempotency keys: a request that comes twice is done once and answered twice alike.

The first request reserves its key in a transaction of its own, and stores its response in the transaction that does
the work: both or neither are there after a crash. A twin that comes meanwhile waits. A reservation is held for a while
only; whoever takes a stale one over becomes its owner, and the slow one's work is then rolled back.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Update, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from store.base import clock
from store.errors import Conflict, IdempotencyMismatch
from store.models import IdempotencyKey
from store.session import Database

POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Reserved:
    """The caller does the work, and answers as `owner`."""

    owner: str


@dataclass(frozen=True)
class Replay:
    """The work was done: this was the answer."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass(frozen=True)
class Pending:
    """A twin is at work."""


class IdempotencyRepository:
    """Keys are a project's own."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def reserve(
        self, project_id: str, key: str, fingerprint: str, *, hold_seconds: float = 60.0, keep_seconds: float = 86400.0
    ) -> Reserved | Replay | Pending:
        """Reserve, find the stored answer, or learn that a twin is at work. Raises IdempotencyMismatch.

        `fingerprint` is a digest of what was asked (64 characters at most); the same key with another one is refused.
        """
        owner = secrets.token_hex(16)
        fresh = {"fingerprint": fingerprint, "owner": owner, "created_at": clock(), "held_until": clock(hold_seconds)}
        insert = postgresql.insert if self.session.get_bind().dialect.name == "postgresql" else sqlite.insert
        statement = insert(IdempotencyKey).values(project_id=project_id, key=key, **fresh).on_conflict_do_nothing()
        if self.session.execute(statement.returning(IdempotencyKey.owner)).one_or_none() is not None:
            return Reserved(owner)
        mine = (IdempotencyKey.project_id == project_id) & (IdempotencyKey.key == key)
        old = IdempotencyKey.created_at < clock(-keep_seconds)
        forgotten = {**fresh, "status": None, "headers": None, "body": None}
        if self._changed(update(IdempotencyKey).where(mine, old).values(forgotten)):
            return Reserved(owner)
        row = self.session.scalar(select(IdempotencyKey).where(mine).execution_options(populate_existing=True))
        if row is None:
            return Pending()  # released just now: the next look reserves it
        if row.fingerprint != fingerprint:
            raise IdempotencyMismatch(key)
        if row.status is not None:
            return Replay(row.status, row.headers or {}, row.body or "")
        stale = (IdempotencyKey.held_until < clock()) & IdempotencyKey.status.is_(None)
        if self._changed(update(IdempotencyKey).where(mine, stale).values(owner=owner, held_until=clock(hold_seconds))):
            return Reserved(owner)
        return Pending()

    def complete(
        self, project_id: str, key: str, owner: str, *, status: int, headers: Mapping[str, str], body: str
    ) -> None:
        """Store the answer, in the transaction that did the work. Raises Conflict if the reservation was taken over."""
        answer = {"status": status, "headers": dict(headers), "body": body}
        if not self._changed(update(IdempotencyKey).where(*self._reserved(project_id, key, owner)).values(answer)):
            raise Conflict("idempotency_lost", "another request with this Idempotency-Key took over")

    def release(self, project_id: str, key: str, owner: str) -> None:
        """Nothing was done: the key is free again."""
        self.session.execute(delete(IdempotencyKey).where(*self._reserved(project_id, key, owner)))

    def forget(self, keep_seconds: float) -> int:
        """Remove keys older than that; how many."""
        statement = delete(IdempotencyKey).where(IdempotencyKey.created_at < clock(-keep_seconds))
        return len(self.session.execute(statement.returning(IdempotencyKey.key)).all())

    def _reserved(self, project_id: str, key: str, owner: str) -> tuple[ColumnElement[bool], ...]:
        row = IdempotencyKey
        return row.project_id == project_id, row.key == key, row.owner == owner, row.status.is_(None)

    def _changed(self, statement: Update) -> bool:
        returning = statement.returning(IdempotencyKey.owner)
        return (
            self.session.execute(returning, execution_options={"synchronize_session": False}).one_or_none() is not None
        )


def reserve_or_wait(
    database: Database,
    project_id: str,
    key: str,
    fingerprint: str,
    *,
    hold_seconds: float = 60.0,
    keep_seconds: float = 86400.0,
    wait_seconds: float = 30.0,
) -> Reserved | Replay | Pending:
    """As `reserve`, but wait for a twin; Pending only if it has not answered for `wait_seconds`.

    No transaction is open while waiting. Raises IdempotencyMismatch.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        with database.write() as session:
            repository = IdempotencyRepository(session)
            found = repository.reserve(
                project_id, key, fingerprint, hold_seconds=hold_seconds, keep_seconds=keep_seconds
            )
        if not isinstance(found, Pending) or time.monotonic() >= deadline:
            return found
        time.sleep(POLL_SECONDS)
