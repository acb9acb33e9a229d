"""A worker process that is there to take work."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from store.base import Base
from store.models.columns import ShortText


class Worker(Base):
    """`slots` is how many pieces of work it takes at once, `seen_at` when it last said so."""

    __tablename__ = "workers"

    name: Mapped[ShortText] = mapped_column(primary_key=True)
    queue: Mapped[str] = mapped_column(String(32), index=True)
    slots: Mapped[int]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
