from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
from pathlib import Path

import pytest
from sqlalchemy import update

from store.errors import CorruptBlob
from store.models import Chunk
from store.session import Database
from tests.store.rows import written
from worker.dataset_cache import ColumnFile, DatasetCache


def column(database: Database, name: str, content: bytes) -> ColumnFile:
    writer = written(database, content)
    with database.write() as session:
        blob = writer.commit(session)
    return ColumnFile(name, blob.id, blob.size_bytes, blob.sha256)


def go_on() -> None:
    return None


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "datasets"


def folders(root: Path) -> set[str]:
    return {folder.name for folder in root.iterdir() if folder.name != ".filling"}


def test_files_are_fetched_once_and_shared(sqlite_database, root, monkeypatch):
    files = [
        column(sqlite_database, "image.npy", os.urandom(5_000_000)),
        column(sqlite_database, "label.npy", b"labels"),
    ]
    cache = DatasetCache(root, 10**9)
    with cache.opened(sqlite_database, files, go_on) as folder:
        found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    assert found == {file.name: file.sha256 for file in files}
    monkeypatch.setattr("worker.dataset_cache.fetch", None)
    with DatasetCache(root, 10**9).opened(sqlite_database, files[::-1], go_on) as again:
        assert again == folder


def test_a_stopped_or_corrupt_fetch_leaves_nothing(sqlite_database, root):
    files = [column(sqlite_database, "image.npy", os.urandom(5_000_000))]
    cache = DatasetCache(root, 10**9)

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError), cache.opened(sqlite_database, files, stop):
        pass
    with sqlite_database.write() as session:
        session.execute(update(Chunk).where(Chunk.blob_id == files[0].blob_id, Chunk.number == 1).values(data=b"other"))
    with pytest.raises(CorruptBlob), cache.opened(sqlite_database, files, go_on):
        pass
    assert folders(root) == set()
    assert list((root / ".filling").iterdir()) == []


def test_the_longest_unused_is_evicted_and_what_is_in_use_stays(sqlite_database, root):
    sets = [[column(sqlite_database, "x.npy", bytes([number]) * 1000)] for number in range(4)]
    cache = DatasetCache(root, 2500)
    for number, files in enumerate(sets[:2]):
        with cache.opened(sqlite_database, files, go_on) as folder:
            os.utime(folder, (number, number))
    with cache.opened(sqlite_database, sets[0], go_on):  # used again, and held
        with cache.opened(sqlite_database, sets[2], go_on):
            pass
        assert folders(root) == {cache.folder(sets[0]).name, cache.folder(sets[2]).name}
        os.utime(cache.folder(sets[0]), (0, 0))
        with cache.opened(sqlite_database, sets[3], go_on):
            assert folders(root) == {cache.folder(sets[0]).name, cache.folder(sets[3]).name}


def test_a_fresh_ingest_is_taken_over(sqlite_database, root, tmp_path):
    files = [column(sqlite_database, "x.npy", b"content")]
    made = tmp_path / "columns"
    made.mkdir()
    (made / "x.npy").write_bytes(b"content")
    cache = DatasetCache(root, 10**9)
    cache.adopt(made, files)
    assert (cache.folder(files) / "x.npy").read_bytes() == b"content"
    assert not made.exists()
    made.mkdir()
    cache.adopt(made, files)  # a second time changes nothing
    assert (cache.folder(files) / "x.npy").read_bytes() == b"content"


def _use(settings, root: Path, files, rounds: int) -> None:
    database = Database(settings)
    cache = DatasetCache(root, 1)  # nothing fits: every use evicts whatever is not in use
    for _ in range(rounds):
        for each in files:
            with cache.opened(database, each, go_on) as folder:
                assert (folder / "x.npy").stat().st_size == each[0].size_bytes
                (folder / "x.npy").read_bytes()
    database.close()


def test_many_processes_fill_use_and_evict_at_once(sqlite_database, root):
    files = [[column(sqlite_database, "x.npy", bytes([number]) * 3_000_000)] for number in range(3)]
    sqlite_database.close()
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_use, args=(sqlite_database.settings, root, files, 5)) for _ in range(3)]
    for process in others:
        process.start()
    for process in others:
        process.join(60)
    assert [process.exitcode for process in others] == [0, 0, 0]
    shutil.rmtree(root)
