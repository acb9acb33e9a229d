"""What was answered to a request that may come again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from store.base import Base
from store.models.columns import Id


class IdempotencyKey(Base):
    """Pending while `status` is null; `owner` is the one request that may answer it, until `held_until`."""

    __tablename__ = "idempotency_keys"

    project_id: Mapped[Id] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    owner: Mapped[str] = mapped_column(String(32))
    held_until: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(index=True)
    status: Mapped[int | None]
    headers: Mapped[dict[str, Any] | None]
    body: Mapped[str | None] = mapped_column(Text)
