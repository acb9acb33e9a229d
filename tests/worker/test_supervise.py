"""The supervisor with real forked processes and a real lease."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import signal
import time
from collections.abc import Iterator

import pytest

from store.repositories import JobRepository
from store.repositories.running_jobs import RunningJobRepository
from store.session import Database
from tests.store.rows import claimed_job, new_dataset, new_project
from worker.exits import CRASHED
from worker.lease import Lease
from worker.notice import CANCEL, HURRY, PAUSE, SHUTDOWN, TIME_IS_UP, Notice
from worker.supervise import Limits, supervise


@pytest.fixture
def held(sqlite_database: Database) -> Iterator[tuple[Database, str, str, int]]:
    """A database with quick leases, and (project, job, token) of a claimed job."""
    database = Database(
        dataclasses.replace(sqlite_database.settings, renew_seconds=0.2, poll_seconds=0.1, lease_seconds=2.0)
    )
    project = new_project(database)
    job = claimed_job(database, project, new_dataset(database, project).id, lease_seconds=2.0)
    yield database, project, job.id, job.token
    database.close()


def lease_of(held: tuple[Database, str, str, int]) -> Lease:
    database, _, job, token = held
    return Lease(database, RunningJobRepository, job, token, database.settings, claimed_at=time.monotonic())


def wait_for(notice: Notice, value: int, seconds: float = 5.0) -> int:
    deadline = time.monotonic() + seconds
    while notice.read() != value:
        if time.monotonic() > deadline:
            return 99
        time.sleep(0.01)
    return 7


def forever(notice: Notice) -> int:
    while True:
        time.sleep(1)


def test_the_status_of_work_that_ends_by_itself(held):
    ending = supervise(lease_of(held), lambda notice: 7, Limits(), Notice())
    assert (ending.status, ending.signal, ending.killed) == (7, None, None)


def test_a_kill_from_outside_is_named(held):
    def work(notice: Notice) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    ending = supervise(lease_of(held), work, Limits(), Notice())
    assert (ending.status, ending.signal, ending.killed) == (None, signal.SIGKILL, None)
    assert str(ending) == "was ended by SIGKILL"


def test_an_unexpected_exception_is_a_crash_and_never_returns_into_the_pool(held, capfd):
    def work(notice: Notice) -> int:
        raise RuntimeError("boom")

    ending = supervise(lease_of(held), work, Limits(), Notice())
    assert ending.status == CRASHED
    assert "boom" in capfd.readouterr().err


def test_the_lease_outlives_its_first_length_while_the_work_goes_on(held):
    ending = supervise(lease_of(held), lambda notice: wait_for(notice, HURRY, 3.0), Limits(), Notice())
    assert ending.status == 99
    database, _, job, token = held
    with database.write() as session:
        RunningJobRepository(session).fence(job, token)


@pytest.mark.parametrize(("ask", "value"), [("request_cancel", CANCEL), ("request_pause", PAUSE)])
def test_what_users_ask_reaches_the_work_within_two_seconds(held, ask, value):
    database, project, job, _ = held

    def work(notice: Notice) -> int:
        # Asked from here, so that the supervisor is certainly watching.
        database.after_fork()
        with database.write() as session:
            getattr(JobRepository(session), ask)(project, job)
        return wait_for(notice, value, 2.0)

    assert supervise(lease_of(held), work, Limits(), Notice()).status == 7


def test_a_cancel_that_is_not_heeded_is_enforced(held, monkeypatch):
    monkeypatch.setattr("worker.supervise.CANCEL_GRACE_SECONDS", 0.3)
    database, project, job, _ = held
    with database.write() as session:
        JobRepository(session).request_cancel(project, job)
    assert supervise(lease_of(held), forever, Limits(), Notice()).killed == "cancel"


def test_a_lost_lease_ends_the_work_at_once(held):
    database, _, job, token = held
    with database.write() as session:
        RunningJobRepository(session).lose(job, token, "Somebody took it.")
    begun = time.monotonic()
    assert supervise(lease_of(held), forever, Limits(), Notice()).killed == "lease_lost"
    assert time.monotonic() - begun < 2


def test_a_lost_lease_ends_work_that_does_not_come_back_from_native_code(held):
    database, _, job, token = held
    with database.write() as session:
        RunningJobRepository(session).lose(job, token, "Somebody took it.")

    def work(notice: Notice) -> int:
        return int(ctypes.PyDLL(None).sleep(60))  # and keeps the interpreter's lock

    begun = time.monotonic()
    assert supervise(lease_of(held), work, Limits(), Notice()).killed == "lease_lost"
    assert time.monotonic() - begun < 20


def test_work_that_has_just_ended_its_row_may_exit_in_peace(held):
    database, _, job, token = held

    def work(notice: Notice) -> int:
        database.after_fork()
        notice.settle()
        with database.write() as session:
            RunningJobRepository(session).finish(job, token, "succeeded")
        time.sleep(0.5)
        return 7

    ending = supervise(lease_of(held), work, Limits(), Notice())
    assert (ending.status, ending.killed) == (7, None)


def test_a_database_that_does_not_answer_ends_the_work_before_the_lease_can_be_anybody_elses(held):
    lease = lease_of(held)
    away = dataclasses.replace(lease.settings, database_url="postgresql://nobody@127.0.0.1:1/none")
    lease.database.close()
    lease.database = Database(away)
    begun = time.monotonic()
    assert supervise(lease, forever, Limits(), Notice()).killed == "lease_lost"
    assert 1.0 < time.monotonic() - begun < 2.0


def test_the_worker_is_told_to_shut_down(held):
    stop = Notice()
    stop.post(SHUTDOWN)
    assert supervise(lease_of(held), lambda notice: wait_for(notice, SHUTDOWN), Limits(), stop).status == 7


def test_a_hurried_shutdown_does_not_wait(held):
    stop = Notice()
    stop.post(HURRY)
    assert supervise(lease_of(held), forever, Limits(), stop).killed == "hurry"


def test_a_sigterm_to_the_supervisor_alone_is_passed_on_and_handed_back(held):
    handed_back: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: handed_back.append(number))
    try:

        def work(notice: Notice) -> int:
            os.kill(os.getppid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)  # to the group: not for the work itself
            return wait_for(notice, SHUTDOWN)

        assert supervise(lease_of(held), work, Limits(), Notice()).status == 7
        assert handed_back == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_time_that_is_up(held):
    def work(notice: Notice) -> int:
        return wait_for(notice, TIME_IS_UP)

    assert supervise(lease_of(held), work, Limits(seconds=0.2), Notice()).status == 7


def test_more_memory_than_allowed(held):
    def work(notice: Notice) -> int:
        block = bytearray(os.urandom(1024) * 200 * 1024)
        time.sleep(10)
        return len(block) % 2

    ending = supervise(lease_of(held), work, Limits(memory_bytes=64 * 1024**2), Notice())
    assert ending.killed == "out_of_memory"


def test_work_dies_with_its_supervisor(held):
    report, report_end = os.pipe()
    supervisor = os.fork()
    if supervisor == 0:
        lease = lease_of(held)
        lease.database.after_fork()

        def work(notice: Notice) -> int:
            os.write(report_end, b"%d\n" % os.getpid())
            return forever(notice)

        supervise(lease, work, Limits(), Notice())
        os._exit(0)
    os.close(report_end)
    pid = int(os.read(report, 32))
    # Adopted by this process, its death can be waited for.
    PR_SET_CHILD_SUBREAPER = 36
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        os.kill(supervisor, signal.SIGKILL)
        os.waitpid(supervisor, 0)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    finally:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        os.close(report)
