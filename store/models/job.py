"""A job: one training execution."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from store.base import Base
from store.models.columns import Id, Identified, Leased, Owned


class Job(Identified, Owned, Leased, Base):
    """`event_seq` is the number of the job's last event: every write that adds events raises it in its first UPDATE.

    `initial_checkpoint_id` is another job's, whose weights this one starts from. The ids of checkpoints have no foreign
    key, because checkpoints point back at jobs.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_project_id_id", "project_id", "id"),
        Index("ix_jobs_status_project_id", "status", "project_id"),
        Index("ix_jobs_status_lease_until", "status", "lease_until"),
    )

    status: Mapped[str] = mapped_column(String(16))
    spec: Mapped[dict[str, Any]]
    dataset_id: Mapped[Id | None] = mapped_column(ForeignKey("datasets.id"), index=True)
    model_id: Mapped[Id | None] = mapped_column(ForeignKey("models.id"))
    priority: Mapped[int] = mapped_column(default=0)
    cancel_requested_at: Mapped[datetime | None]
    pause_requested_at: Mapped[datetime | None]
    event_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    metrics: Mapped[dict[str, Any] | None]
    latest_checkpoint_id: Mapped[Id | None]
    best_checkpoint_id: Mapped[Id | None]
    initial_checkpoint_id: Mapped[Id | None] = mapped_column(index=True)
