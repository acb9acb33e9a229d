"""Removing what nothing needs any more: unfinished uploads, files without a reference, old keys and silent workers."""

from __future__ import annotations

import math
import time

from sqlalchemy import ColumnElement, delete, exists, or_, select, update

from store.base import clock
from store.models import Blob, Checkpoint, Chunk, Dataset, DatasetFile, Model
from store.repositories.idempotency_keys import IdempotencyRepository
from store.repositories.workers import WorkerRepository
from store.session import Database

BLOBS_AT_ONCE = 100
CHUNKS_AT_ONCE = 16
REFERENCES = (
    Dataset.source_blob,
    DatasetFile.blob_id,
    Checkpoint.weights_blob,
    Checkpoint.state_blob,
    Model.weights_blob,
)
NO_SYNC = {"synchronize_session": False}


def collect(database: Database, seconds: float = 0.5) -> bool:
    """A round of about `seconds` over what can be forgotten; whether there is more. Many may run at once."""
    settings = database.settings
    with database.write() as session:
        IdempotencyRepository(session).forget(settings.idempotency_seconds)
        WorkerRepository(session).forget(settings.garbage_seconds)
    removed, more = collect_blobs(database, settings.garbage_seconds, seconds)
    if removed or more:
        database.reclaim()
    return more


def collect_blobs(database: Database, grace_seconds: float, seconds: float = math.inf) -> tuple[int, bool]:
    """Remove blobs that nothing refers to and nobody has written to for `grace_seconds`: (how many, whether more wait).

    Ends after about `seconds`; a large blob may then be half removed, and the next round goes on with it.
    """
    deadline = time.monotonic() + seconds
    with database.read() as session:
        old = Blob.touched_at < clock(-grace_seconds)
        statement = select(Blob.id).where(old, ~_is_referred_to()).order_by(Blob.touched_at).limit(BLOBS_AT_ONCE)
        ids = list(session.scalars(statement))
    removed = 0
    for blob_id in ids:
        if _mark(database, blob_id, grace_seconds):
            while _remove_chunks(database, blob_id):
                if time.monotonic() > deadline:
                    return removed, True
            with database.write() as session:
                session.execute(delete(Blob).where(Blob.id == blob_id), execution_options=NO_SYNC)
            removed += 1
    return removed, len(ids) == BLOBS_AT_ONCE


def _mark(database: Database, blob_id: str, grace_seconds: float) -> bool:
    """Take the blob out of everybody's sight, if nothing refers to it."""
    with database.write() as session:
        # Locked first and looked at afterwards: a reference that was committed while waiting for the lock is then seen.
        locked = select(Blob.id).where(Blob.id == blob_id, Blob.touched_at < clock(-grace_seconds))
        if session.scalar(locked.with_for_update(skip_locked=True)) is None:
            return False
        if session.scalar(select(Blob.id).where(Blob.id == blob_id, _is_referred_to())) is not None:
            return False
        # From now on its writer gets BlobGone, and the same content is stored anew.
        marked = update(Blob).where(Blob.id == blob_id).values(sha256=None, collected=True)
        session.execute(marked, execution_options=NO_SYNC)
    return True


def _remove_chunks(database: Database, blob_id: str) -> bool:
    """Remove a few, so that nobody waits long for the database; whether there were any."""
    with database.write() as session:
        some = select(Chunk.number).where(Chunk.blob_id == blob_id).order_by(Chunk.number).limit(CHUNKS_AT_ONCE)
        numbers = list(session.scalars(some))
        gone = delete(Chunk).where(Chunk.blob_id == blob_id, Chunk.number.in_(numbers))
        session.execute(gone, execution_options=NO_SYNC)
    return bool(numbers)


def _is_referred_to() -> ColumnElement[bool]:
    return or_(*(exists().where(column == Blob.id) for column in REFERENCES))
