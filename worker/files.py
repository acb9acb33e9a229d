"""Files on this machine: stored blobs fetched and checked, and folders that are given up when their holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from store.blobs import BlobWriter, read_blob
from store.errors import CorruptBlob
from store.session import Database

PIECE_BYTES = 1024 * 1024


def fetch(database: Database, blob_id: str, sha256: str, target: Path, check: Callable[[], None]) -> None:
    """Write a blob to the file `target`; `check` is called for every chunk and may raise to stop.

    Raises BlobGone, CorruptBlob: a file that does not give `sha256` does not stay.
    """
    digest = hashlib.sha256()
    try:
        with target.open("wb") as file:
            for piece in read_blob(database, blob_id):
                check()
                digest.update(piece)
                file.write(piece)
        if digest.hexdigest() != sha256:
            raise CorruptBlob(blob_id, "the whole does not give its SHA-256")
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def store(database: Database, source: Path, owner: str, check: Callable[[], None]) -> BlobWriter:
    """Write a file into chunks that nobody sees yet; the caller commits the writer, or aborts it.

    `check` is called between pieces and may raise to stop: then nothing stays.
    """
    writer = BlobWriter(database, owner=owner)
    try:
        with source.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                check()
                writer.write(piece)
        writer.flush()
    except BaseException:
        with contextlib.suppress(Exception):
            writer.abort()
        raise
    return writer


class WorkFolder:
    """A folder for one claim. Its lock goes with the last process that works in it, however that ends."""

    def __init__(self, root: Path, name: str) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.path = root / name
        with locked(root):
            for old in root.iterdir():
                remove_unused(old)
            self.path.mkdir()
            self._lock = hold(self.path)

    def remove(self) -> None:
        """The work is over."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Alone with this folder on this machine; waits for whoever else is."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def hold(folder: Path) -> int:
    """A descriptor that keeps `remove_unused` off the folder until it is closed here and in all forked processes."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


def remove_unused(folder: Path) -> bool:
    """Remove the folder if nobody holds it; whether it went."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
        return True
    except OSError:
        return False
    finally:
        os.close(lock)
