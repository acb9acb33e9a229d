"""An attempt: one worker's try at a job."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from store.base import Base
from store.models.columns import Id, ShortText


class Attempt(Base):
    """Known by the token of its claim. `number` is the job's attempt: it repeats when a shutdown consumed none."""

    __tablename__ = "attempts"

    job_id: Mapped[Id] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    token: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]
    worker: Mapped[ShortText]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(32))
    error: Mapped[dict[str, Any] | None]
