"""A dataset: an uploaded file, and the column files that an ingest made of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from store.base import Base
from store.models.columns import Id, Identified, Leased, Owned, ShortText


class Dataset(Identified, Owned, Leased, Base):
    """`status` is processing, ready or failed; one that is processing waits for a worker while it has no lease.

    `version` counts the datasets of the same name in the project from 1. A deleted dataset keeps its row, so that
    jobs still say what they were trained on, and loses its files.
    """

    __tablename__ = "datasets"
    __table_args__ = (
        UniqueConstraint("project_id", "name", "version"),
        Index("ix_datasets_project_id_id", "project_id", "id"),
        Index("ix_datasets_status_lease_until", "status", "lease_until"),
    )

    version: Mapped[int]
    status: Mapped[str] = mapped_column(String(16))
    filename: Mapped[ShortText | None]
    format: Mapped[str | None] = mapped_column(String(64))
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    source_blob: Mapped[Id | None] = mapped_column(ForeignKey("blobs.id"), index=True)
    manifest: Mapped[dict[str, Any] | None]
    deleted_at: Mapped[datetime | None]


class DatasetFile(Base):
    """One ingested column of a dataset: `name` is the file's name in the manifest."""

    __tablename__ = "dataset_files"

    dataset_id: Mapped[Id] = mapped_column(ForeignKey("datasets.id"), primary_key=True)
    name: Mapped[ShortText] = mapped_column(primary_key=True)
    blob_id: Mapped[Id] = mapped_column(ForeignKey("blobs.id"), index=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
