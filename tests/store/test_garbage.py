from __future__ import annotations

import os
import threading

import pytest
from sqlalchemy import select

from store import garbage
from store.blobs import BlobWriter, find_blob, read_blob
from store.errors import BlobGone
from store.models import Blob, Chunk
from store.repositories import CheckpointRepository, DatasetRepository, WorkerRepository
from store.repositories.idempotency_keys import Reserved, reserve_or_wait
from store.session import Database
from tests.store.rows import claimed_job, fill_every_table, new_dataset, new_project, publish, written

EVERYTHING = -60.0
"""A grace that has passed for every blob, whatever the clock."""


def blob_ids(database: Database) -> set[str]:
    with database.read() as session:
        return set(session.scalars(select(Blob.id)))


def test_what_is_referred_to_stays_and_the_rest_goes(database: Database) -> None:
    fill_every_table(database)
    project_id = new_project(database)
    dataset = new_dataset(database, project_id, b"the only copy")
    unfinished = written(database, os.urandom(100), owner="job_1/1")
    orphan = written(database, os.urandom(100))
    with database.write() as session:
        orphan.commit(session)
    removed, more = garbage.collect_blobs(database, EVERYTHING)
    assert removed >= 2 and not more
    left = blob_ids(database)
    assert unfinished.id not in left and orphan.id not in left
    assert b"".join(read_blob(database, str(dataset.source_blob))) == b"the only copy"
    assert garbage.collect_blobs(database, EVERYTHING) == (0, False)
    with database.read() as session:
        assert set(session.scalars(select(Chunk.blob_id).distinct())) <= left


def test_what_was_touched_just_now_stays(database: Database) -> None:
    unfinished = written(database, b"still uploading")
    assert garbage.collect_blobs(database, 3600.0) == (0, False)
    assert unfinished.id in blob_ids(database)


def test_a_collected_writer_is_told(database: Database) -> None:
    writer = BlobWriter(database, chunk_bytes=1 << 20)
    writer.write(os.urandom(1 << 20))
    garbage.collect_blobs(database, EVERYTHING)
    with pytest.raises(BlobGone):
        writer.write(os.urandom(1 << 20))


def test_a_writer_cannot_commit_what_is_being_collected(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between being marked and losing its chunks a blob looks whole."""
    writer = written(database, os.urandom(100))
    monkeypatch.setattr(garbage, "_remove_chunks", lambda database, blob_id: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        garbage.collect_blobs(database, EVERYTHING)
    with pytest.raises(BlobGone), database.write() as session:
        writer.commit(session)
    monkeypatch.undo()
    garbage.collect_blobs(database, EVERYTHING)  # the next round ends what the first began
    assert writer.id not in blob_ids(database)


def test_many_chunks_go_in_small_steps(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "CHUNKS_AT_ONCE", 2)
    garbage.collect_blobs(database, EVERYTHING)
    writer = BlobWriter(database, chunk_bytes=1000)
    writer.write(os.urandom(3500))
    writer.flush()
    assert garbage.collect_blobs(database, EVERYTHING, seconds=0.0)[1]  # out of time after the first step
    with database.read() as session:
        assert len(list(session.scalars(select(Chunk.number).where(Chunk.blob_id == writer.id)))) == 2
    assert garbage.collect_blobs(database, EVERYTHING)[0] >= 1
    assert writer.id not in blob_ids(database)


def test_pruned_checkpoints_and_deleted_datasets_free_their_bytes(database: Database) -> None:
    project_id = new_project(database)
    dataset = new_dataset(database, project_id, b"dataset to delete")
    job = claimed_job(database, project_id, new_dataset(database, project_id).id)
    first = publish(database, job, 101)
    for step in (102, 103):
        publish(database, job, step)
    with database.write() as session:
        DatasetRepository(session).delete(project_id, dataset.id)
    garbage.collect_blobs(database, 3600.0)  # whoever is still reading them has time to end
    assert b"".join(read_blob(database, first.weights_blob)) == b"weights 101"
    garbage.collect_blobs(database, EVERYTHING)
    with database.read() as session:
        assert find_blob(session, first.weights_blob) is None
        assert find_blob(session, str(dataset.source_blob)) is None
        for row in CheckpointRepository(session).page(job.id).rows:
            assert find_blob(session, row.weights_blob) is not None


def test_content_that_comes_again_while_it_is_collected_is_never_lost(database: Database) -> None:
    """A writer of the same content keeps the old blob or stores its own: what it refers to can always be read."""
    project_id = new_project(database)
    content = os.urandom(5000)
    stop = threading.Event()

    def collect() -> None:
        while not stop.is_set():
            garbage.collect_blobs(database, EVERYTHING)

    collector = threading.Thread(target=collect)
    orphan = written(database, content)
    with database.write() as session:
        orphan.commit(session)
    collector.start()
    try:
        kept = []
        for number in range(15):
            try:
                dataset = new_dataset(database, project_id, content, name=f"d{number}")
            except BlobGone:
                continue  # this collector has no grace at all
            kept.append(dataset)
            assert b"".join(read_blob(database, str(dataset.source_blob))) == content
            with database.write() as session:
                DatasetRepository(session).delete(project_id, dataset.id)
    finally:
        stop.set()
        collector.join()
    assert kept


def test_a_round_forgets_old_keys_and_silent_workers(database: Database) -> None:
    project_id = new_project(database)
    assert isinstance(reserve_or_wait(database, project_id, "key", "f"), Reserved)
    with database.write() as session:
        WorkerRepository(session).beat("quiet", "training", 1)
    garbage.collect(database, seconds=60.0)
    with database.read() as session:
        assert WorkerRepository(session).slots("training") >= 1
    with database.write() as session:
        assert WorkerRepository(session).forget(EVERYTHING) >= 1
        assert WorkerRepository(session).slots("training") == 0
