"""Stored files, in chunks."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from store.base import Base
from store.models.columns import Id, Identified, ShortText


class Blob(Identified, Base):
    """A file is visible once `sha256` is set; until then it belongs to its writer, and afterwards never changes.

    `owner` names an unfinished writer (a job and its token), `touched_at` is when it last wrote. A blob that is
    `collected` is being removed, and nothing can bring it back.
    """

    __tablename__ = "blobs"
    __table_args__ = (Index("ix_blobs_touched_at", "touched_at"),)

    sha256: Mapped[str | None] = mapped_column(String(64), unique=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    chunk_bytes: Mapped[int] = mapped_column(Integer)
    chunks: Mapped[int] = mapped_column(Integer, default=0)
    owner: Mapped[ShortText | None]
    touched_at: Mapped[datetime]
    collected: Mapped[bool] = mapped_column(Boolean, default=False)


class Chunk(Base):
    """All chunks of a blob but the last hold the blob's `chunk_bytes`."""

    __tablename__ = "chunks"

    blob_id: Mapped[Id] = mapped_column(ForeignKey("blobs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    size_bytes: Mapped[int] = mapped_column(Integer)
    sha256: Mapped[str] = mapped_column(String(64))
    data: Mapped[bytes] = mapped_column(LargeBinary)
