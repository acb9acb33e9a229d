"""A stored model: a definition, and the weights it was posted with if there were any."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from store.base import Base
from store.models.columns import Id, Identified, Owned


class Model(Identified, Owned, Base):
    """`definition` is the model as the engine understood it; `summary` what validation said of it.

    `weights_format`, `weights_bytes` and `weights_sha256` are those of the file that was posted; `weights_blob` holds
    its weights as training takes them.
    """

    __tablename__ = "models"
    __table_args__ = (Index("ix_models_project_id_id", "project_id", "id"),)

    definition: Mapped[dict[str, Any]]
    summary: Mapped[dict[str, Any] | None]
    weights_format: Mapped[str | None] = mapped_column(String(64))
    weights_bytes: Mapped[int | None] = mapped_column(BigInteger)
    weights_sha256: Mapped[str | None] = mapped_column(String(64))
    weights_blob: Mapped[Id | None] = mapped_column(ForeignKey("blobs.id"), index=True)
