"""A point of a job's series."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from store.base import Base, utc_now
from store.models.columns import Id


class Metric(Base):
    """`level` is step or epoch. `value` is null where it was not finite. A step trained again replaces its point."""

    __tablename__ = "metrics"

    job_id: Mapped[Id] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    level: Mapped[str] = mapped_column(String(8), primary_key=True)
    step: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    epoch: Mapped[int]
    value: Mapped[float | None]
    at: Mapped[datetime] = mapped_column(default=utc_now)
