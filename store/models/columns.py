"""Columns that several tables have."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from store.base import Json, utc_now

Id = Annotated[str, mapped_column(String(64))]
ShortText = Annotated[str, mapped_column(String(200))]


class Identified:
    """An id made by `store.ids`, and the time the row was made."""

    id: Mapped[Id] = mapped_column(primary_key=True, sort_order=-9)
    created_at: Mapped[datetime] = mapped_column(default=utc_now, sort_order=-8)


class Owned:
    """A row of one project, with the user's tags (`metadata` in the API; SQLAlchemy keeps that word for itself)."""

    project_id: Mapped[Id] = mapped_column(ForeignKey("projects.id"), sort_order=-7)
    name: Mapped[ShortText] = mapped_column(sort_order=-6)
    labels: Mapped[dict[str, Any]] = mapped_column("metadata", Json, default=dict, sort_order=-5)


class Leased:
    """Work that one worker at a time holds: see `repositories/leases.py`.

    `token` grows with every claim and fences every write of the worker that made the claim.
    """

    token: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=0)
    attempts_without_progress: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    worker: Mapped[ShortText | None]
    queued_at: Mapped[datetime] = mapped_column(default=utc_now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    progress: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
