"""An API key: only its SHA-256 is stored."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from store.base import Base
from store.models.columns import Id, Identified, ShortText


class ApiKey(Identified, Base):
    """`hint` is the secret's beginning, enough to recognise a key and not to use it."""

    __tablename__ = "api_keys"

    project_id: Mapped[Id] = mapped_column(ForeignKey("projects.id"), index=True)
    name: Mapped[ShortText]
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    hint: Mapped[str] = mapped_column(String(16))
    revoked_at: Mapped[datetime | None]
