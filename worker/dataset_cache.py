"""Datasets as files on this machine, for the engine to map: filled once, shared by all processes, kept below a size."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from store.models import DatasetFile
from store.session import Database
from worker.files import fetch, hold, locked, remove_unused


@dataclass(frozen=True)
class ColumnFile:
    """One file of a dataset, as the store has it."""

    name: str
    blob_id: str
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, row: DatasetFile) -> ColumnFile:
        """What a row says."""
        return cls(row.name, row.blob_id, row.size_bytes, row.sha256)


class DatasetCache:
    """`root`/<digest>/ holds the files of one dataset. A folder appears complete or not at all.

    Filling, using and evicting are kept apart by locks on the folders themselves, which die with their processes:
    `root`/.filling for whoever fills or evicts, a shared one on each folder in use.
    """

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self.root = root
        self.limit_bytes = limit_bytes
        self.filling = root / ".filling"
        self.filling.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def opened(self, database: Database, files: Sequence[ColumnFile], check: Callable[[], None]) -> Iterator[Path]:
        """The folder with these files, fetched if they are not here; it stays for as long as the context.

        `check` is called between chunks and may raise to stop. Raises BlobGone, CorruptBlob.
        """
        lock = self._use(files)
        if lock is None:
            with locked(self.filling):
                lock = self._use(files)  # another process filled it while this one waited
                if lock is None:
                    self._fill(database, files, check)
                    lock = self._use(files)
        assert lock is not None
        try:
            yield self.folder(files)
        finally:
            os.close(lock)

    def folder(self, files: Sequence[ColumnFile]) -> Path:
        """Where these files are, or would be: named by what is in them."""
        content = "\n".join(f"{file.sha256} {file.name}" for file in sorted(files, key=lambda one: one.name))
        return self.root / hashlib.sha256(content.encode()).hexdigest()

    def adopt(self, source: Path, files: Sequence[ColumnFile]) -> None:
        """Take over a folder that was just made here from an upload, so that training need not fetch it."""
        with locked(self.filling), contextlib.suppress(OSError):
            self._make_room(sum(file.size_bytes for file in files))
            source.rename(self.folder(files))

    def _use(self, files: Sequence[ColumnFile]) -> int | None:
        folder = self.folder(files)
        try:
            lock = hold(folder)
        except FileNotFoundError:
            return None
        try:
            same = os.path.samestat(os.fstat(lock), folder.stat())
            os.utime(folder)  # the time of last use, which eviction goes by
        except FileNotFoundError:
            same = False
        if not same:
            os.close(lock)  # evicted between the opening and the lock
            return None
        return lock

    def _fill(self, database: Database, files: Sequence[ColumnFile], check: Callable[[], None]) -> None:
        for left in self.filling.iterdir():
            shutil.rmtree(left, ignore_errors=True)
        self._make_room(sum(file.size_bytes for file in files))
        partial = self.filling / self.folder(files).name
        partial.mkdir()
        try:
            for file in files:
                fetch(database, file.blob_id, file.sha256, partial / file.name, check)
            partial.rename(self.folder(files))
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _make_room(self, more_bytes: int) -> None:
        """Evict what was not used for longest. What is in use stays, and so the limit may be passed."""
        folders = [folder for folder in self.root.iterdir() if folder != self.filling]
        held = {folder: sum(file.stat().st_size for file in folder.iterdir()) for folder in folders}
        for folder in sorted(folders, key=lambda one: one.stat().st_mtime):
            if sum(held.values()) + more_bytes <= self.limit_bytes:
                return
            if remove_unused(folder):
                held.pop(folder)
