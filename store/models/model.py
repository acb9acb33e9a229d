"""A stored model definition, without weights."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from store.base import Base
from store.models.columns import Identified, Owned


class Model(Identified, Owned, Base):
    """`definition` is the model as the engine understood it; `summary` what validation said of it."""

    __tablename__ = "models"
    __table_args__ = (Index("ix_models_project_id_id", "project_id", "id"),)

    definition: Mapped[dict[str, Any]]
    summary: Mapped[dict[str, Any] | None]
