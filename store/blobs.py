"""Files in the database, in chunks of 1 to 4 MiB: written and read as streams, never whole in memory.

A blob belongs to its writer, which stores it chunk by chunk in short transactions. Nobody sees it until
`BlobWriter.commit` sets its SHA-256 in a transaction of the caller's, together with the row that refers to it. The same
content is stored once. A visible blob never changes; `garbage.py` removes those that nothing refers to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from store.base import clock
from store.errors import BlobGone, CorruptBlob
from store.ids import new_id
from store.models import Blob, Chunk
from store.session import Database

NO_SYNC = {"synchronize_session": False}
COLLECTED = "the unfinished blob was collected, or is committed already"


@dataclass(frozen=True)
class BlobInfo:
    """A committed blob: its id, size in bytes and SHA-256."""

    id: str
    size_bytes: int
    sha256: str


class BlobWriter:
    """Writes one blob. As a context manager it removes what it wrote, unless it was committed.

    `owner` says who is writing (a job and its token), so that a lost worker's leftovers can be told.
    """

    def __init__(self, database: Database, *, owner: str | None = None, chunk_bytes: int | None = None) -> None:
        self.id = new_id("blob")
        self.size_bytes = 0
        self.committed = False
        self._database = database
        self._chunk_bytes = chunk_bytes or database.settings.chunk_bytes
        self._buffer = bytearray()
        self._hash = hashlib.sha256()
        self._digests: list[str] = []
        with database.write() as session:
            values = {"id": self.id, "chunk_bytes": self._chunk_bytes, "owner": owner, "touched_at": clock()}
            session.execute(insert(Blob).values(values))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.committed:
            self.abort()

    @property
    def sha256(self) -> str:
        """The digest of what was written so far, as 64 hexadecimal digits."""
        return self._hash.hexdigest()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append `data`. Stores a chunk whenever one is full. Raises BlobGone if the blob was collected meanwhile."""
        view = memoryview(data).cast("B")
        self._hash.update(view)
        self.size_bytes += len(view)
        while len(view):
            room = self._chunk_bytes - len(self._buffer)
            self._buffer += view[:room]
            view = view[room:]
            if len(self._buffer) == self._chunk_bytes:
                self.flush()

    def flush(self) -> None:
        """Store the last, shorter chunk. Nothing may be written afterwards; call it outside of any transaction."""
        if self._buffer:
            with self._database.write() as session:
                self._store(session)

    def commit(self, session: Session) -> BlobInfo:
        """Make the blob visible with the caller's transaction. Call `flush` first. Raises BlobGone, CorruptBlob.

        If the same content is there already, that blob is returned and this one's chunks go.
        """
        if self._buffer:
            raise ValueError("expected a flushed writer, received one with bytes that are not stored")
        if session.scalar(select(Blob.id).where(self._is_mine()).with_for_update()) is None:
            raise BlobGone(self.id, COLLECTED)
        self._check(session)
        existing = self._existing(session)
        if existing is None:
            try:
                with session.begin_nested():
                    self._publish(session)
            except IntegrityError:  # a twin with the same content committed first
                existing = self._existing(session)
                if existing is None:
                    raise
        self.committed = True
        if existing is not None:
            remove_blob(session, self.id)
        return BlobInfo(existing or self.id, self.size_bytes, self.sha256)

    def abort(self) -> None:
        """Remove what was written. Harmless after a rolled back or unknown commit: a visible blob stays."""
        with self._database.write() as session:
            if session.scalar(select(Blob.id).where(self._is_mine()).with_for_update()) is not None:
                remove_blob(session, self.id)

    def _store(self, session: Session) -> None:
        data = bytes(self._buffer)
        touched = update(Blob).where(self._is_mine()).values(touched_at=clock()).returning(Blob.id)
        if session.execute(touched, execution_options=NO_SYNC).one_or_none() is None:
            raise BlobGone(self.id, COLLECTED)
        digest = hashlib.sha256(data).hexdigest()
        values = {
            "blob_id": self.id,
            "number": len(self._digests),
            "size_bytes": len(data),
            "sha256": digest,
            "data": data,
        }
        session.execute(insert(Chunk).values(values))
        self._digests.append(digest)
        self._buffer.clear()

    def _check(self, session: Session) -> None:
        statement = select(Chunk.size_bytes, Chunk.sha256).where(Chunk.blob_id == self.id).order_by(Chunk.number)
        chunks = session.execute(statement).all()
        count, size = len(chunks), sum(chunk.size_bytes for chunk in chunks)
        if (count, size) != (len(self._digests), self.size_bytes):
            expected = f"{len(self._digests)} chunks of {self.size_bytes} bytes"
            raise CorruptBlob(self.id, f"expected {expected}, found {count} of {size}")
        if [chunk.sha256 for chunk in chunks] != self._digests:
            raise CorruptBlob(self.id, "the chunks' SHA-256 are not those that were written")

    def _publish(self, session: Session) -> None:
        values = {
            "sha256": self.sha256,
            "size_bytes": self.size_bytes,
            "chunks": len(self._digests),
            "touched_at": clock(),
        }
        session.execute(update(Blob).where(Blob.id == self.id).values(values), execution_options=NO_SYNC)

    def _is_mine(self) -> ColumnElement[bool]:
        return (Blob.id == self.id) & Blob.sha256.is_(None) & Blob.collected.is_(False)

    def _existing(self, session: Session) -> str | None:
        # The lock keeps the collector from removing it before the caller's reference to it is committed.
        statement = select(Blob.id).where(Blob.sha256 == self.sha256, Blob.id != self.id)
        return session.scalar(statement.with_for_update(read=True, key_share=True))


def remove_blob(session: Session, blob_id: str) -> None:
    """Delete a blob and its chunks in this transaction; the caller has made sure that nothing refers to it."""
    session.execute(delete(Chunk).where(Chunk.blob_id == blob_id), execution_options=NO_SYNC)
    session.execute(delete(Blob).where(Blob.id == blob_id), execution_options=NO_SYNC)


def touch_blobs(session: Session, blob_ids: Collection[str]) -> None:
    """References to these blobs go now: whoever is still reading them has the garbage collector's grace to end."""
    touched = update(Blob).where(Blob.id.in_(blob_ids)).values(touched_at=clock())
    session.execute(touched, execution_options=NO_SYNC)


def find_blob(session: Session, blob_id: str) -> BlobInfo | None:
    """The committed blob of this id."""
    statement = select(Blob.size_bytes, Blob.sha256).where(Blob.id == blob_id, Blob.sha256.is_not(None))
    row = session.execute(statement).one_or_none()
    return BlobInfo(blob_id, row[0], str(row[1])) if row is not None else None


def read_blob(database: Database, blob_id: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """The bytes from `start` to before `stop` (by default all), a chunk at a time, each in a transaction of its own.

    Every chunk is checked against its SHA-256 before any of it is given out. Raises BlobGone, CorruptBlob.
    """
    with database.read() as session:
        statement = select(Blob.size_bytes, Blob.chunk_bytes).where(Blob.id == blob_id, Blob.sha256.is_not(None))
        row = session.execute(statement).one_or_none()
    if row is None:
        raise BlobGone(blob_id, "there is no such blob")
    size, chunk_bytes = row
    stop = size if stop is None else min(stop, size)
    position = max(start, 0)
    while position < stop:
        number, offset = divmod(position, chunk_bytes)
        data = _read_chunk(database, blob_id, number, min(chunk_bytes, size - number * chunk_bytes))
        piece = data if offset == 0 and stop - position >= len(data) else data[offset : offset + stop - position]
        yield piece
        position += len(piece)


def _read_chunk(database: Database, blob_id: str, number: int, expected_bytes: int) -> bytes:
    with database.read() as session:
        statement = select(Chunk.data, Chunk.sha256).where(Chunk.blob_id == blob_id, Chunk.number == number)
        row = session.execute(statement, execution_options={"stoker_binary": True}).one_or_none()
    if row is None:
        raise BlobGone(blob_id, f"chunk {number} is missing")
    data, digest = row
    if len(data) != expected_bytes or hashlib.sha256(data).hexdigest() != digest:
        raise CorruptBlob(blob_id, f"chunk {number} does not give its SHA-256")
    return bytes(data)
