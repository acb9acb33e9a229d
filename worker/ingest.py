"""Ingest: an upload becomes columns, in a forked process with limits, so that no bomb takes the worker with it."""

from __future__ import annotations

import errno
import logging
import resource
import signal
import time
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from engine import data
from engine.errors import DataError, DefinitionError
from store.blobs import BlobWriter, find_blob
from store.errors import BlobGone, CorruptBlob
from store.models import Dataset
from store.repositories.datasets import DatasetRepository
from store.session import Database
from worker import memory
from worker.dataset_cache import ColumnFile, DatasetCache
from worker.exits import CRASHED, DONE
from worker.files import WorkFolder, fetch, store
from worker.lease import UNREACHABLE
from worker.notice import TIME_IS_UP, Notice
from worker.supervise import Ending, Limits
from worker.work import Work
from worker.writing import Patience, keep_writing

MEMORY_BYTES = 4 * 1024**3
CPU_SECONDS = 2 * 3600
WALL_SECONDS = 4 * 3600.0
OPEN_FILES = 1024
REPORT_SECONDS = 0.5

log = logging.getLogger("stoker.worker")


class Stopped(Exception):
    """The notice asked to stop."""


class Ingest(Work[Dataset]):
    """Work of the queue `ingest`."""

    def rows(self, session: Session) -> DatasetRepository:
        """All projects' rows."""
        return DatasetRepository(session)

    def claim(self, session: Session, worker: str) -> Dataset | None:
        """The dataset that waited longest."""
        return DatasetRepository(session).claim_next(worker, self.settings.lease_seconds)

    def limits(self, session: Session, row: Dataset) -> Limits:
        """The same for every file."""
        return Limits(memory_bytes=MEMORY_BYTES, seconds=WALL_SECONDS)

    def carry_out(self, row: Dataset, folder: WorkFolder, notice: Notice) -> int:
        """Ingest, in the forked process."""
        memory.limit_data(MEMORY_BYTES)
        lower(resource.RLIMIT_CPU, CPU_SECONDS)
        lower(resource.RLIMIT_FSIZE, self.settings.cache_bytes)
        lower(resource.RLIMIT_NOFILE, OPEN_FILES)
        return Ingester(Database(self.settings), row, folder.path, notice).run()

    def settle(self, session: Session, row: Dataset, ending: Ending) -> None:
        """The process ended without bringing the dataset to an end."""
        datasets = DatasetRepository(session)
        if ending.killed == "out_of_memory":
            datasets.fail(row.id, row.token, error_of("out_of_memory", "Reading the file needed too much memory."))
        elif ending.killed == "time_limit" or ending.signal == signal.SIGXCPU:
            datasets.fail(row.id, row.token, error_of("time_limit", "Reading the file took too long."))
        elif ending.killed in ("hurry", "cancel"):
            datasets.release(row.id, row.token)
        else:
            self.give_up(session, row, f"Its process {ending}.")

    def give_up(self, session: Session, row: Dataset, cause: str) -> None:
        """Waiting again, unless too many attempts ended so."""
        DatasetRepository(session).lose(row.id, row.token, cause, attempts=self.settings.attempts)


class Ingester:
    """One claim of one dataset, in the process that was forked for it."""

    def __init__(self, database: Database, dataset: Dataset, folder: Path, notice: Notice) -> None:
        self.database = database
        self.dataset = dataset
        self.folder = folder
        self.notice = notice
        self._reported_at = 0.0

    def run(self) -> int:
        """Ingest and finish; the answer is the exit status."""
        try:
            self._ingest()
        except Stopped:
            self._leave_stopped()
        except DataError as error:
            self._fail(explain(error))
        except DefinitionError as error:
            self._fail(error_of("invalid_options", str(error), error.faults[0].pointer))
        except MemoryError:
            self._fail(error_of("out_of_memory", "Reading the file needed too much memory."))
        except (BlobGone, CorruptBlob) as error:
            self._fail(error_of("upload_unreadable", f"The stored upload cannot be read back ({error})."))
        except OSError as error:
            log.exception("%s: ingest failed", self.dataset.id)
            if error.errno != errno.EFBIG:  # a full disk: another attempt, perhaps elsewhere, may go through
                return CRASHED
            self._fail(error_of("too_large", f"The columns could not be written: {error.strerror or error}."))
        except Exception as error:
            log.exception("%s: ingest failed", self.dataset.id)
            self._fail(error_of("internal_error", f"Ingest failed with {type(error).__name__}: {error}"))
        return DONE

    def _ingest(self) -> None:
        source, output = self.folder / "source", self.folder / "columns"
        output.mkdir()
        self._fetch_source(source)
        manifest = data.ingest(
            source,
            output,
            format=self.dataset.format,
            options=self.dataset.options,
            filename=self.dataset.filename,
            progress=self._progress,
        )
        source.unlink()
        owner = f"{self.dataset.id}:{self.dataset.token}"
        names = [str(file["name"]) for file in manifest["files"]]
        writers = {name: self._store(output / name, owner) for name in names}
        self._publish(manifest, writers, output)

    def _fetch_source(self, target: Path) -> None:
        with self.database.read() as session:
            blob = find_blob(session, self.dataset.source_blob) if self.dataset.source_blob else None
        if blob is None:
            raise BlobGone(self.dataset.source_blob or "", "there is no upload")
        fetch(self.database, blob.id, blob.sha256, target, self._check)

    def _publish(self, manifest: dict[str, Any], writers: dict[str, BlobWriter], output: Path) -> None:
        self.notice.settle()

        def write(session: Session) -> str:
            datasets = DatasetRepository(session)
            datasets.ready(self.dataset.id, self.dataset.token, manifest, writers)
            return "ready"

        keep_writing(self.database, self.notice, write, landed=self._ended)
        settings = self.database.settings
        with self.database.read() as session:
            files = [ColumnFile.of(file) for file in DatasetRepository(session).files(self.dataset.id)]
        if files:
            DatasetCache(settings.cache_dir / "datasets", settings.cache_bytes).adopt(output, files)

    def _progress(self, done: int, total: int) -> None:
        self._check()
        if time.monotonic() - self._reported_at >= REPORT_SECONDS:
            self._reported_at = time.monotonic()
            keep_writing(
                self.database,
                self.notice,
                lambda session: DatasetRepository(session).report(
                    self.dataset.id, self.dataset.token, {"done": done, "total": total}
                ),
            )

    def _check(self) -> None:
        if self.notice.read():
            raise Stopped

    def _store(self, source: Path, owner: str) -> BlobWriter:
        patience = Patience(f"{self.dataset.id}: storing a column")
        while True:
            try:
                return store(self.database, source, owner, self._check)
            except UNREACHABLE as error:
                patience.wait(error)
                self._check()

    def _fail(self, error: dict[str, Any]) -> None:
        self.notice.settle()

        def write(session: Session) -> str:
            DatasetRepository(session).fail(self.dataset.id, self.dataset.token, error)
            return "failed"

        keep_writing(self.database, self.notice, write, landed=self._ended)

    def _leave_stopped(self) -> None:
        if self.notice.read() == TIME_IS_UP:
            self._fail(error_of("time_limit", "Reading the file took too long."))
            return
        self.notice.settle()

        def write(session: Session) -> str:
            DatasetRepository(session).release(self.dataset.id, self.dataset.token)
            return "released"

        keep_writing(self.database, self.notice, write, landed=self._ended)

    def _ended(self, session: Session) -> str | None:
        """The status, if this claim has ended."""
        row = DatasetRepository(session).find(self.dataset.id)
        held = row is not None and row.token == self.dataset.token and row.lease_until is not None
        return row.status if row is not None and not held else None


def explain(error: DataError) -> dict[str, Any]:
    """A dataset's `error` for a file or an option that is at fault; an option is pointed to."""
    if error.where is not None and error.where.startswith("/options"):
        return error_of(error.code, error.detail, error.where)
    return error_of(error.code, str(error))


def error_of(code: str, message: str, pointer: str | None = None) -> dict[str, Any]:
    """A dataset's `error`."""
    return {"code": code, "message": message[:2000], "pointer": pointer}


def lower(limit: int, value: int) -> None:
    """Lower a limit of this process, never above what it was given."""
    _, hard = resource.getrlimit(limit)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))
