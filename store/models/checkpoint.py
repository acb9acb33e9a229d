"""A checkpoint: weights and the training state from which a job goes on bit for bit."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from store.base import Base
from store.models.columns import Id, Identified


class Checkpoint(Identified, Base):
    """`size_bytes` and `sha256` are those of the weights file, the one users download.

    `best` says that it was the best so far when it was written; `corrupt` that its bytes could not be read back.
    """

    __tablename__ = "checkpoints"
    __table_args__ = (Index("ix_checkpoints_job_id_id", "job_id", "id"),)

    job_id: Mapped[Id] = mapped_column(ForeignKey("jobs.id"))
    token: Mapped[int]
    step: Mapped[int] = mapped_column(BigInteger)
    epoch: Mapped[int]
    metrics: Mapped[dict[str, Any]]
    manifest: Mapped[dict[str, Any]]
    best: Mapped[bool] = mapped_column(Boolean, default=False)
    corrupt: Mapped[bool] = mapped_column(Boolean, default=False)
    weights_blob: Mapped[Id] = mapped_column(ForeignKey("blobs.id"), index=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    state_blob: Mapped[Id] = mapped_column(ForeignKey("blobs.id"), index=True)
    state_bytes: Mapped[int] = mapped_column(BigInteger)
    state_sha256: Mapped[str] = mapped_column(String(64))
