"""Datasets: uploads that a worker turns into columns, by the same protocol as jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, case, delete, func, select
from sqlalchemy.orm import InstrumentedAttribute

from store import outbox
from store.base import clock, utc_now
from store.blobs import BlobWriter, touch_blobs
from store.errors import Conflict, LeaseLost, NotFound
from store.ids import new_id
from store.models import Dataset, DatasetFile, Job
from store.repositories.labels import has_labels
from store.repositories.leases import Flags, LosableRepository
from store.repositories.pages import Order, Page, read_page
from store.repositories.projects import ProjectRepository
from store.states import ACTIVE, DATASET_TRANSITIONS, FAILED, PROCESSING, READY, transition

INGEST = "ingest"
DELETED = {"code": "deleted", "message": "The dataset was deleted while it was processed.", "pointer": None}


class DatasetRepository(LosableRepository[Dataset]):
    """A project's datasets, and the work of ingesting them. Deleting a dataset cancels its ingest."""

    row = Dataset
    queue: ClassVar[str] = INGEST

    def is_waiting(self) -> ColumnElement[bool]:
        """Processing without a lease is waiting."""
        return (Dataset.status == PROCESSING) & Dataset.lease_until.is_(None)

    def is_held(self) -> ColumnElement[bool]:
        """Processing with a lease is held."""
        return (Dataset.status == PROCESSING) & Dataset.lease_until.is_not(None)

    def flag_columns(self) -> tuple[InstrumentedAttribute[Any], None]:
        """A dataset cannot be paused."""
        return Dataset.deleted_at, None

    # Users -------------------------------------------------------------------------------------------------------

    def create(
        self,
        project_id: str,
        *,
        name: str,
        source: BlobWriter,
        filename: str | None = None,
        format: str | None = None,
        options: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
        bytes_limit: int | None = None,
    ) -> Dataset:
        """The next version of `name`, waiting for an ingest of what `source` wrote. Raises QuotaExceeded."""
        projects = ProjectRepository(self.session)
        projects.lock(project_id)
        if bytes_limit is not None:
            projects.check_bytes(project_id, source.size_bytes, bytes_limit)
        blob = source.commit(self.session)
        newest = select(func.max(Dataset.version)).where(Dataset.project_id == project_id, Dataset.name == name)
        dataset = Dataset(
            id=new_id("dataset"),
            project_id=project_id,
            name=name,
            version=(self.session.scalar(newest) or 0) + 1,
            labels=dict(labels or {}),
            status=PROCESSING,
            filename=filename,
            format=format,
            options=dict(options or {}),
            size_bytes=blob.size_bytes,
            sha256=blob.sha256,
            source_blob=blob.id,
        )
        self.session.add(dataset)
        self.session.flush()
        outbox.add(self.session, INGEST, "created")
        return dataset

    def get(self, project_id: str, id: str) -> Dataset:
        """Raises NotFound, also for a dataset of another project or a deleted one."""
        dataset = self.find(id)
        if dataset is None or dataset.project_id != project_id or dataset.deleted_at is not None:
            raise NotFound("dataset", id)
        return dataset

    def page(
        self,
        project_id: str,
        *,
        after: str | None = None,
        limit: int = 20,
        order: Order = "desc",
        status: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Page[Dataset]:
        """A page of the project's datasets, of one status and with all the `labels` if given."""
        wanted = has_labels(self.session, Dataset.labels, labels or {})
        statement = select(Dataset).where(Dataset.project_id == project_id, Dataset.deleted_at.is_(None), wanted)
        if status is not None:
            statement = statement.where(Dataset.status == status)
        return read_page(self.session, statement, Dataset.id, after=after, limit=limit, order=order)

    def delete(self, project_id: str, id: str) -> None:
        """Its files go, its row stays for the jobs that name it. Raises NotFound, Conflict while jobs still need it."""
        mine = (Dataset.id == id) & (Dataset.project_id == project_id) & Dataset.deleted_at.is_(None)
        if self._update(mine, {"deleted_at": utc_now()}, Dataset.id) is None:
            raise NotFound("dataset", id)
        needed = select(func.count()).select_from(Job).where(Job.dataset_id == id, Job.status.in_(ACTIVE))
        if self.session.scalar(needed):
            raise Conflict("dataset_in_use", "jobs that have not ended yet train on this dataset")
        gone = delete(DatasetFile).where(DatasetFile.dataset_id == id).returning(DatasetFile.blob_id)
        blob_ids = set(self.session.scalars(gone))
        blob_ids |= set(
            self.session.scalars(select(Dataset.source_blob).where(Dataset.id == id, Dataset.source_blob.is_not(None)))
        )
        touch_blobs(self.session, sorted(map(str, blob_ids)))
        waiting = (Dataset.id == id) & self.is_waiting()
        self._update(waiting, {"status": _moved(FAILED), "error": DELETED, "finished_at": clock()}, Dataset.id)
        self._update(Dataset.id == id, {"source_blob": None}, Dataset.id)

    def files(self, id: str) -> list[DatasetFile]:
        """The ingested column files of a dataset, by name."""
        statement = select(DatasetFile).where(DatasetFile.dataset_id == id).order_by(DatasetFile.name)
        return list(self.session.scalars(statement))

    # Workers -----------------------------------------------------------------------------------------------------

    def claim_next(self, worker: str, lease_seconds: float) -> Dataset | None:
        """Claim the dataset that has waited longest, or None."""
        oldest = select(Dataset.id).where(self.is_waiting()).order_by(Dataset.queued_at, Dataset.id).limit(1)
        while (id := self.session.scalar(oldest.with_for_update(skip_locked=True, key_share=True))) is not None:
            if self._claim(id, worker, lease_seconds, {}):
                return self.find(id)
        return None

    def report(self, id: str, token: int, progress: Mapping[str, Any]) -> Flags:
        """How far the ingest is. Raises LeaseLost."""
        return self._update_held(id, token, {"progress": dict(progress)})

    def ready(self, id: str, token: int, manifest: Mapping[str, Any], files: Mapping[str, BlobWriter]) -> None:
        """The ingest is done: its manifest, and its files by name, each flushed. Raises LeaseLost, BlobGone.

        If the dataset was deleted meanwhile, the files are not kept.
        """
        if self._fence(id, token).cancel:
            self.fail(id, token, DELETED)
            return
        values = {"status": _moved(READY), "manifest": dict(manifest), "format": manifest.get("format"), **_freed()}
        self._update_held(id, token, values)
        for name, writer in sorted(files.items(), key=lambda one: one[1].sha256):
            blob = writer.commit(self.session)
            row = DatasetFile(dataset_id=id, name=name, blob_id=blob.id, size_bytes=blob.size_bytes, sha256=blob.sha256)
            self.session.add(row)
        self.session.flush()

    def fail(self, id: str, token: int, error: Mapping[str, Any]) -> None:
        """The ingest cannot be done: `error` is {code, message, pointer}. Raises LeaseLost."""
        self._update_held(id, token, {"status": _moved(FAILED), "error": dict(error), **_freed()})

    def release(self, id: str, token: int) -> None:
        """Give the work back without consuming an attempt. Raises LeaseLost."""
        if self._fence(id, token).cancel:
            self.fail(id, token, DELETED)
            return
        fewer = case((Dataset.attempts_without_progress > 0, Dataset.attempts_without_progress - 1), else_=0)
        values = {
            "lease_until": None,
            "worker": None,
            "attempt": Dataset.attempt - 1,
            "attempts_without_progress": fewer,
        }
        if self._update(self._held_by(id, token), values, Dataset.id) is None:
            raise LeaseLost(id, token)
        outbox.add(self.session, INGEST, "released")

    def _lose(self, id: str, token: int, flags: Flags, without_progress: int, cause: str, attempts: int) -> str:
        if flags.cancel or without_progress >= attempts:
            lost = {"code": "worker_lost", "message": f"{cause} {without_progress} attempts ended so.", "pointer": None}
            self.fail(id, token, DELETED if flags.cancel else lost)
            return FAILED
        self._update(self._held_by(id, token), {"lease_until": None, "worker": None}, Dataset.id)
        outbox.add(self.session, INGEST, "lost")
        return PROCESSING

    def _fence(self, id: str, token: int) -> Flags:
        return self._update_held(id, token, {"token": Dataset.token})


def _moved(wanted: str) -> str:
    transition(PROCESSING, wanted, DATASET_TRANSITIONS)
    return wanted


def _freed() -> dict[str, Any]:
    return {"lease_until": None, "worker": None, "progress": None, "finished_at": clock()}
