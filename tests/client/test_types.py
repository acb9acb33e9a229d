from __future__ import annotations

from datetime import UTC, datetime

from stoker.types import Dataset, Job

DOCUMENT = {
    "id": "job_1", "object": "job", "name": None, "status": "succeeded", "is_terminal": True, "attempt": 1,
    "created_at": "2026-11-23T10:00:00Z", "started_at": None, "something_new": {"a": 1},
    "progress": {"epoch": 2, "epochs": 2, "step": 90, "steps": 90, "examples_per_second": 1.5, "eta_seconds": 0},
    "metrics": {"latest": {"loss": 0.5}, "best": None, "test": {"last": {"accuracy": 0.9}}},
    "error": None,
}  # fmt: skip


def test_a_job_is_read_by_field_and_kept_whole() -> None:
    job = Job.from_json(DOCUMENT)
    assert job.created_at == datetime(2026, 11, 23, 10, tzinfo=UTC) and job.started_at is None
    assert job.progress is not None and job.progress.step == 90
    assert (job.latest, job.best, job.test) == ({"loss": 0.5}, {}, {"last": {"accuracy": 0.9}})
    assert job.raw == DOCUMENT


def test_what_an_older_server_does_not_say_has_a_default() -> None:
    assert Dataset.from_json({"id": "ds_1"}).status == "processing"
