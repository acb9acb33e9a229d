"""Files as chunks: streamed both ways, checked, stored once, and never visible half."""

from __future__ import annotations

import hashlib
import os
import threading
import tracemalloc

import pytest
from sqlalchemy import func, select, update

from store.blobs import BlobInfo, BlobWriter, find_blob, read_blob
from store.errors import BlobGone, CorruptBlob
from store.models import Blob, Chunk
from store.session import Database
from tests.store.rows import written

MIB = 1 << 20


def stored(database: Database, content: bytes) -> BlobInfo:
    writer = written(database, content)
    with database.write() as session:
        return writer.commit(session)


def chunk_sizes(database: Database, blob_id: str) -> list[int]:
    with database.read() as session:
        statement = select(Chunk.size_bytes).where(Chunk.blob_id == blob_id).order_by(Chunk.number)
        return list(session.scalars(statement))


@pytest.mark.parametrize("size", [0, 1, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 5 * MIB])
def test_what_is_written_is_read(database: Database, size: int) -> None:
    content = os.urandom(size)
    info = stored(database, content)
    assert (info.size_bytes, info.sha256) == (size, hashlib.sha256(content).hexdigest())
    assert b"".join(read_blob(database, info.id)) == content
    with database.read() as session:
        assert find_blob(session, info.id) == info


def test_chunks_are_full_but_the_last_however_the_bytes_arrive(database: Database) -> None:
    writer = BlobWriter(database, chunk_bytes=MIB)
    content = os.urandom(3 * MIB + 5)
    for start in range(0, len(content), 300_007):
        writer.write(memoryview(content)[start : start + 300_007])
    writer.flush()
    with database.write() as session:
        info = writer.commit(session)
    assert chunk_sizes(database, info.id) == [MIB, MIB, MIB, 5]
    assert b"".join(read_blob(database, info.id)) == content


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, 1),
        (MIB - 1, MIB + 1),
        (MIB, 2 * MIB),
        (5, 3 * MIB),
        (2 * MIB + 100, None),
        (0, 10**12),
        (7, 7),
        (10**9, None),
    ],
)
def test_any_range_can_be_read(database: Database, start: int, stop: int | None) -> None:
    content = os.urandom(2 * MIB + 4321)
    writer = BlobWriter(database, chunk_bytes=MIB)
    writer.write(content)
    writer.flush()
    with database.write() as session:
        info = writer.commit(session)
    assert b"".join(read_blob(database, info.id, start, stop)) == content[start:stop]


def test_neither_way_holds_a_file_in_memory(sqlite_database: Database) -> None:
    piece = os.urandom(256 * 1024)
    pieces = 160  # 40 MiB
    tracemalloc.start()
    try:
        writer = BlobWriter(sqlite_database)
        for number in range(pieces):
            writer.write(number.to_bytes(4, "big") + piece[4:])
        writer.flush()
        with sqlite_database.write() as session:
            info = writer.commit(session)
        size = sum(len(chunk) for chunk in read_blob(sqlite_database, info.id))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size == info.size_bytes == pieces * len(piece)
    assert peak < 16 * MIB


def test_nobody_sees_a_blob_before_its_commit(database: Database) -> None:
    writer = written(database, b"half")
    with database.read() as session:
        assert find_blob(session, writer.id) is None
    with pytest.raises(BlobGone):
        next(read_blob(database, writer.id))
    with pytest.raises(RuntimeError), database.write() as session:
        writer.commit(session)
        raise RuntimeError("the transaction is rolled back")
    with database.read() as session:
        assert find_blob(session, writer.id) is None
    with database.write() as session:  # and can be tried again
        info = writer.commit(session)
    assert b"".join(read_blob(database, info.id)) == b"half"


def test_an_unflushed_writer_cannot_be_committed(database: Database) -> None:
    writer = BlobWriter(database)
    writer.write(b"left")
    with pytest.raises(ValueError, match="flush"), database.write() as session:
        writer.commit(session)


def test_an_aborted_writer_leaves_nothing(database: Database) -> None:
    with BlobWriter(database) as writer:
        writer.write(os.urandom(3 * MIB))
    assert chunk_sizes(database, writer.id) == []
    with database.read() as session:
        assert session.get(Blob, writer.id) is None
    with pytest.raises(RuntimeError), BlobWriter(database) as failing:
        failing.write(os.urandom(3 * MIB))
        raise RuntimeError
    assert chunk_sizes(database, failing.id) == []
    with pytest.raises(BlobGone):
        writer.write(os.urandom(3 * MIB))


def test_aborting_after_the_commit_keeps_the_blob(database: Database) -> None:
    writer = written(database, b"kept whatever the client believes")
    with database.write() as session:
        info = writer.commit(session)
    writer.abort()
    assert b"".join(read_blob(database, info.id)) == b"kept whatever the client believes"


def test_the_same_content_is_stored_once(database: Database) -> None:
    content = os.urandom(MIB)
    first, second = stored(database, content), stored(database, content)
    assert first == second
    with database.read() as session:
        assert session.scalar(select(func.count()).where(Blob.sha256 == first.sha256)) == 1
        assert session.scalar(select(func.count()).where(Chunk.sha256 == first.sha256)) == 1


def test_twins_that_commit_at_once_share_one_blob(database: Database) -> None:
    content = os.urandom(MIB)
    writers = [written(database, content) for _ in range(4)]
    start = threading.Barrier(len(writers))
    infos: list[BlobInfo] = []

    def commit(writer: BlobWriter) -> None:
        start.wait()
        with database.write() as session:
            infos.append(writer.commit(session))

    threads = [threading.Thread(target=commit, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(infos) == 4
    assert len(set(infos)) == 1
    with database.read() as session:
        assert session.scalar(select(func.count()).where(Chunk.sha256 == infos[0].sha256)) == 1
    assert b"".join(read_blob(database, infos[0].id)) == content


@pytest.mark.parametrize("damage", ["flipped", "shorter", "missing"])
def test_damaged_chunks_are_noticed_before_a_byte_of_them_is_given(database: Database, damage: str) -> None:
    writer = BlobWriter(database, chunk_bytes=MIB)
    writer.write(os.urandom(2 * MIB))
    with database.write() as session:
        info = writer.commit(session)
    with database.write() as session:
        second = (Chunk.blob_id == info.id) & (Chunk.number == 1)
        chunk = session.scalars(select(Chunk).where(second)).one()
        if damage == "missing":
            session.delete(chunk)
        else:
            data = chunk.data[:-1] if damage == "shorter" else bytes([chunk.data[0] ^ 1]) + chunk.data[1:]
            session.execute(update(Chunk).where(second).values(data=data))
    reading = read_blob(database, info.id)
    assert len(next(reading)) == MIB
    with pytest.raises((CorruptBlob, BlobGone)):
        next(reading)
    with pytest.raises((CorruptBlob, BlobGone)):
        list(read_blob(database, info.id, MIB, MIB + 1))


def test_a_writer_with_chunks_lost_cannot_commit(database: Database) -> None:
    writer = written(database, os.urandom(3 * MIB))
    with database.write() as session:
        session.query(Chunk).filter(Chunk.blob_id == writer.id, Chunk.number == 0).delete()
    with pytest.raises(CorruptBlob, match="expected 2 chunks"), database.write() as session:
        writer.commit(session)


def test_a_writer_with_chunks_exchanged_cannot_commit(database: Database) -> None:
    writer = written(database, os.urandom(3 * MIB))
    with database.write() as session:
        others = hashlib.sha256(b"somebody else's").hexdigest()
        session.execute(update(Chunk).where(Chunk.blob_id == writer.id, Chunk.number == 0).values(sha256=others))
    with pytest.raises(CorruptBlob, match="not those that were written"), database.write() as session:
        writer.commit(session)
