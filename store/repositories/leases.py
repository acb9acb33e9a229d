"""Work that one worker at a time holds.

A claim raises the row's token and sets `lease_until`. Every write of the worker begins with an UPDATE that asks for
that token on a held row: the row's lock then stands until the commit, so nobody can take the work away in between.
Whoever finds no such row has lost the lease. All lease times are the database's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import ColumnElement, and_, false, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from store.base import clock
from store.errors import LeaseLost
from store.models import Dataset, Job

LeasedRow = TypeVar("LeasedRow", Job, Dataset)


@dataclass(frozen=True)
class Flags:
    """What users asked of running work."""

    cancel: bool
    pause: bool


@dataclass(frozen=True)
class Expired:
    """A lease that was seen to have ended: the reaper acts on this very lease or not at all."""

    id: str
    token: int
    lease_until: datetime


class LeaseRepository(ABC, Generic[LeasedRow]):
    """What jobs and datasets have in common as work."""

    row: type[LeasedRow]
    queue: ClassVar[str]

    def __init__(self, session: Session) -> None:
        self.session = session

    @abstractmethod
    def is_waiting(self) -> ColumnElement[bool]:
        """The condition of a row that a worker may claim."""

    @abstractmethod
    def is_held(self) -> ColumnElement[bool]:
        """The condition of a row that a worker holds."""

    @abstractmethod
    def flag_columns(
        self,
    ) -> tuple[InstrumentedAttribute[datetime | None], InstrumentedAttribute[datetime | None] | None]:
        """The columns whose being set asks for a cancel and, where there is such a thing, for a pause."""

    def find(self, id: str) -> LeasedRow | None:
        """The row of any project, as it is now; for workers, which serve all projects."""
        statement = select(self.row).where(self.row.id == id).execution_options(populate_existing=True)
        return self.session.scalar(statement)

    def renew(self, id: str, token: int, lease_seconds: float) -> Flags:
        """Prolong the lease, and say what users asked meanwhile. Raises LeaseLost."""
        return self._update_held(id, token, {"lease_until": clock(lease_seconds)})

    def flags(self, id: str, token: int) -> Flags:
        """What users asked, without writing anything. Raises LeaseLost."""
        statement = select(*self._flags()).where(self._held_by(id, token))
        row = self.session.execute(statement).one_or_none()
        if row is None:
            raise LeaseLost(id, token)
        return Flags(row[0], row[1])

    def count_waiting(self) -> int:
        """How many rows a worker could claim now, over all projects."""
        return self.session.scalar(select(func.count()).select_from(self.row).where(self.is_waiting())) or 0

    def count_held(self) -> int:
        """How many rows workers hold now, over all projects."""
        return self.session.scalar(select(func.count()).select_from(self.row).where(self.is_held())) or 0

    def expired(self, limit: int = 100) -> list[Expired]:
        """Leases that have ended by the database's clock, longest first."""
        row = self.row
        statement = select(row.id, row.token, row.lease_until).where(self.is_held(), row.lease_until < clock())
        return [
            Expired(id, token, lease_until)
            for id, token, lease_until in self.session.execute(statement.order_by(row.lease_until).limit(limit))
            if lease_until is not None
        ]

    def _held_by(self, id: str, token: int) -> ColumnElement[bool]:
        return (self.row.id == id) & (self.row.token == token) & self.is_held()

    def _flags(self) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        cancel, pause = self.flag_columns()
        return cancel.is_not(None).label("cancel"), (pause.is_not(None) if pause is not None else false()).label(
            "pause"
        )

    def _update_held(self, id: str, token: int, values: Mapping[str, Any]) -> Flags:
        row = self._update(self._held_by(id, token), values, *self._flags())
        if row is None:
            raise LeaseLost(id, token)
        return Flags(bool(row[0]), bool(row[1]))

    def _claim(self, id: str, worker: str, lease_seconds: float, values: Mapping[str, Any]) -> bool:
        """The compare-and-set: False if another worker was faster."""
        row = self.row
        claimed = {
            "token": row.token + 1,
            "attempt": row.attempt + 1,
            "attempts_without_progress": row.attempts_without_progress + 1,
            "lease_until": clock(lease_seconds),
            "worker": worker,
            "started_at": func.coalesce(row.started_at, clock()),
            **values,
        }
        return self._update((row.id == id) & self.is_waiting(), claimed, row.id) is not None

    def _lock_held(self, id: str, token: int, *also: ColumnElement[bool]) -> tuple[Flags, int] | None:
        """A fenced UPDATE that changes nothing: (flags, attempts without progress), or None if it is not held."""
        row = self.row
        locked = self._update(
            and_(self._held_by(id, token), *also), {"token": row.token}, *self._flags(), row.attempts_without_progress
        )
        return (Flags(bool(locked[0]), bool(locked[1])), int(locked[2])) if locked is not None else None

    def _lock_expired(self, expired: Expired) -> tuple[Flags, int] | None:
        """As `_lock_held`, if the row still has this very lease and it is still over."""
        until = self.row.lease_until
        return self._lock_held(expired.id, expired.token, until == expired.lease_until, until < clock())

    def _update(self, where: ColumnElement[bool], values: Mapping[str, Any], *returning: Any) -> Any:
        """One UPDATE of at most one row: what it returns, or None if no row met `where`."""
        statement = update(self.row).where(where).values(dict(values)).returning(*returning)
        return self.session.execute(statement, execution_options={"synchronize_session": False}).one_or_none()


class LosableRepository(LeaseRepository[LeasedRow]):
    """Work whose worker may be lost: what then becomes of it."""

    def reap(self, expired: Expired, *, attempts: int = 3) -> str | None:
        """Take the work from a lost worker: the status then, or None if the lease is another now."""
        locked = self._lock_expired(expired)
        return self._lose(expired.id, expired.token, *locked, "Its worker was lost.", attempts) if locked else None

    def lose(self, id: str, token: int, cause: str, *, attempts: int = 3) -> str:
        """The worker itself gives up an attempt whose process died: the status then. Raises LeaseLost."""
        locked = self._lock_held(id, token)
        if locked is None:
            raise LeaseLost(id, token)
        return self._lose(id, token, *locked, cause, attempts)

    @abstractmethod
    def _lose(self, id: str, token: int, flags: Flags, without_progress: int, cause: str, attempts: int) -> str:
        """Work with a lock on its row waits for another worker, unless so many attempts made no progress."""
