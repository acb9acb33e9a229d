"""Attempts: each worker's try at a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from store.base import clock
from store.models import Attempt


class AttemptRepository:
    """Written by RunningJobRepository as it claims and ends."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def begin(self, job_id: str, token: int, number: int, worker: str) -> None:
        """A worker has claimed the job."""
        values = {"job_id": job_id, "token": token, "number": number, "worker": worker, "started_at": clock()}
        self.session.execute(insert(Attempt).values(values))

    def end(self, job_id: str, token: int, outcome: str, error: Mapping[str, Any] | None = None) -> None:
        """The attempt is over: succeeded, failed, cancelled, paused, released or lost."""
        statement = (
            update(Attempt)
            .where(Attempt.job_id == job_id, Attempt.token == token)
            .values(ended_at=clock(), outcome=outcome, error=dict(error) if error else None)
        )
        self.session.execute(statement, execution_options={"synchronize_session": False})

    def outcome(self, job_id: str, token: int) -> str | None:
        """How the attempt ended, or None: what to read when the outcome of a COMMIT is unknown."""
        return self.session.scalar(select(Attempt.outcome).where(Attempt.job_id == job_id, Attempt.token == token))

    def list(self, job_id: str) -> list[Attempt]:
        """All attempts of a job, oldest first."""
        return list(self.session.scalars(select(Attempt).where(Attempt.job_id == job_id).order_by(Attempt.token)))
