"""A project owns keys, datasets, models and jobs, and has quotas."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from store.base import Base
from store.models.columns import Identified, ShortText


class Project(Identified, Base):
    """`claimed_at` is when a worker last took a job of this project; claims go to the one that waited longest."""

    __tablename__ = "projects"

    name: Mapped[ShortText] = mapped_column(unique=True)
    claimed_at: Mapped[datetime | None]
