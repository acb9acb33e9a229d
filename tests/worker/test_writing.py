from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from store.repositories import AttemptRepository, EventRepository
from store.repositories.events import NewEvent
from store.repositories.running_jobs import RunningJobRepository
from store.session import Database
from tests.store.rows import claimed_job, new_dataset, new_project
from worker import writing
from worker.exits import LEASE_LOST
from worker.notice import Notice
from worker.writing import keep_writing


@pytest.fixture
def job(sqlite_database: Database):
    project = new_project(sqlite_database)
    return claimed_job(sqlite_database, project, new_dataset(sqlite_database, project).id)


class Moody(Database):
    """A database whose connection breaks at a chosen moment of the next writes."""

    def __init__(self, real: Database, *breaks: str) -> None:
        super().__init__(real.settings)
        self.breaks = list(breaks)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """As the real one, but for what is to break."""
        moment = self.breaks.pop(0) if self.breaks else ""
        if moment == "before":
            raise OperationalError("BEGIN", None, Exception("gone"))
        with super().write() as session:
            yield session
        if moment == "after":
            raise OperationalError("COMMIT", None, Exception("did it happen?"))


@pytest.mark.parametrize("breaks", [(), ("before",), ("before", "before", "after"), ("after",)])
def test_an_end_happens_once_whatever_became_of_the_commit(sqlite_database, job, breaks):
    database = Moody(sqlite_database, *breaks)

    def write(session: Session) -> str:
        RunningJobRepository(session).finish(job.id, job.token, "succeeded")
        return "succeeded"

    def landed(session: Session) -> str | None:
        return AttemptRepository(session).outcome(job.id, job.token)

    assert keep_writing(database, Notice(), write, landed) == "succeeded"
    with sqlite_database.read() as session:
        messages = [event.message for event in EventRepository(session).page(job.id).rows]
    assert messages.count("The job succeeded.") == 1
    database.close()


def in_a_fork(database: Database, notice: Notice, write) -> int:
    database.close()
    pid = os.fork()
    if pid == 0:
        keep_writing(Database(database.settings), notice, write)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_process_whose_lease_ran_out_writes_nothing(sqlite_database, job):
    def write(session: Session) -> None:
        RunningJobRepository(session).fence(job.id, job.token, events=[NewEvent(type="log", message="late")])

    notice = Notice()
    notice.good_until(time.monotonic() - 1)
    assert in_a_fork(sqlite_database, notice, write) == LEASE_LOST
    with sqlite_database.read() as session:
        assert "late" not in [event.message for event in EventRepository(session).page(job.id).rows]


def test_a_process_whose_claim_is_anothers_ends(sqlite_database, job):
    with sqlite_database.write() as session:
        RunningJobRepository(session).lose(job.id, job.token, "It was taken.")

    def write(session: Session) -> None:
        RunningJobRepository(session).fence(job.id, job.token)

    assert in_a_fork(sqlite_database, Notice(), write) == LEASE_LOST


def test_what_the_database_never_takes_is_given_up(sqlite_database, monkeypatch):
    monkeypatch.setattr(writing, "PATIENCE_SECONDS", 0.5)

    def write(session: Session) -> None:
        raise OperationalError("INSERT", None, Exception("no such column"))

    begun = time.monotonic()
    with pytest.raises(OperationalError):
        keep_writing(sqlite_database, Notice(), write)
    assert 0.5 < time.monotonic() - begun < 5
