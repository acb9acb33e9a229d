"""Claiming and settling, without Celery: this process is the supervisor."""

from __future__ import annotations

import dataclasses
import os
import signal

import pytest
from sqlalchemy.orm import Session

from store.models import Job
from store.repositories import JobRepository
from store.session import Database
from tests.store.rows import new_dataset, new_job, new_project
from worker.execute import Training, used_seconds
from worker.files import WorkFolder
from worker.notice import SHUTDOWN, Notice
from worker.supervise import Limits
from worker.work import work_off


class Dying(Training):
    """Training whose every process is killed before it has done anything."""

    def limits(self, session: Session, row: Job) -> Limits:
        """No limit."""
        return Limits()

    def carry_out(self, row: Job, folder: WorkFolder, notice: Notice) -> int:
        """Die."""
        os.kill(os.getpid(), signal.SIGKILL)
        return 0


@pytest.fixture
def project(sqlite_database: Database) -> str:
    return new_project(sqlite_database)


@pytest.fixture
def job(sqlite_database: Database, project: str) -> Job:
    return new_job(sqlite_database, project, new_dataset(sqlite_database, project).id)


def status(database: Database, job: Job) -> tuple[str, int]:
    with database.read() as session:
        row = JobRepository(session).get(job.project_id, job.id)
        return row.status, row.attempt


def test_a_task_works_until_nothing_waits(sqlite_database, project, job):
    other = new_job(sqlite_database, project, str(job.dataset_id))
    assert work_off(Dying(sqlite_database.settings, 1), Notice()) == 6
    assert status(sqlite_database, job) == status(sqlite_database, other) == ("failed", 3)
    assert list((sqlite_database.settings.cache_dir / "work").iterdir()) == []


def test_a_worker_that_is_told_to_stop_claims_nothing_more(sqlite_database, job):
    stop = Notice()
    stop.post(SHUTDOWN)
    assert work_off(Dying(sqlite_database.settings, 1), stop) == 0
    assert status(sqlite_database, job) == ("queued", 0)


def test_work_that_cannot_begin_says_why(sqlite_database, job, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("no folder")
    settings = dataclasses.replace(sqlite_database.settings, cache_dir=taken)
    assert work_off(Dying(settings, 1), Notice()) == 3
    with sqlite_database.read() as session:
        row = JobRepository(session).get(job.project_id, job.id)
    assert row.status == "failed"
    assert row.error is not None
    assert "could not begin" in row.error["message"]


def test_a_fresh_claim_has_used_no_time_and_a_retried_job_begins_anew(sqlite_database, job):
    work_off(Dying(sqlite_database.settings, 1), Notice())
    with sqlite_database.write() as session:
        JobRepository(session).retry(job.project_id, job.id)
        row = Training(sqlite_database.settings, 1).claim(session, "w")
        assert row is not None
        assert used_seconds(session, row) == 0.0
