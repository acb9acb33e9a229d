"""What jobs and ingests have in common: claim, supervise, and bring the row to where it belongs."""

from __future__ import annotations

import logging
import os
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from store.errors import LeaseLost
from store.models import Dataset, Job
from store.repositories.leases import LeaseRepository
from store.session import Database
from store.settings import Settings
from worker.exits import LEASE_LOST
from worker.files import WorkFolder
from worker.lease import UNREACHABLE, Lease
from worker.notice import Notice
from worker.supervise import Ending, Limits, supervise

Row = TypeVar("Row", Job, Dataset)
SETTLE_PAUSE_SECONDS = 0.5

log = logging.getLogger("stoker.worker")


class Work(ABC, Generic[Row]):
    """A kind of leased work. `carry_out` runs in a forked process; everything else in its supervisor."""

    def __init__(self, settings: Settings, threads: int) -> None:
        self.settings = settings
        self.threads = threads

    @abstractmethod
    def rows(self, session: Session) -> LeaseRepository[Row]:
        """The repository of these rows."""

    @abstractmethod
    def claim(self, session: Session, worker: str) -> Row | None:
        """Take the next row, if there is one."""

    @abstractmethod
    def limits(self, session: Session, row: Row) -> Limits:
        """What this row's work may use."""

    @abstractmethod
    def carry_out(self, row: Row, folder: WorkFolder, notice: Notice) -> int:
        """Do the work and bring the row to where it belongs; the answer is the process's exit status."""

    @abstractmethod
    def settle(self, session: Session, row: Row, ending: Ending) -> None:
        """The process ended and the row is still held: say what that means. Raises LeaseLost if it is not held."""

    @abstractmethod
    def give_up(self, session: Session, row: Row, cause: str) -> None:
        """This attempt is lost: the row waits for another, or has had enough of them. Raises LeaseLost."""


def work_off(work: Work[Row], stop: Notice) -> int:
    """Claim and carry out until nothing waits or the worker is told to stop; how many rows were worked on."""
    database = Database(work.settings)
    worker = f"{socket.gethostname()}:{os.getpid()}"
    done = 0
    while not stop.read():
        claimed_at = time.monotonic()
        with database.write() as session:
            row = work.claim(session, worker)
        if row is None:
            break
        log.info("%s: attempt %d (token %d) begins", row.id, row.attempt, row.token)
        _carry_out(work, database, row, claimed_at, stop)
        done += 1
    database.close()
    return done


def _carry_out(work: Work[Row], database: Database, row: Row, claimed_at: float, stop: Notice) -> None:
    lease = Lease(database, work.rows, row.id, row.token, work.settings, claimed_at=claimed_at)
    try:
        with database.read() as session:
            limits = work.limits(session, row)
        folder = WorkFolder(work.settings.cache_dir / "work", f"{row.id}-{row.token}")
    except (OSError, *UNREACHABLE) as error:
        log.exception("%s: its work cannot begin", row.id)
        cause = f"The worker could not begin: {error}."
        _write(database, row, lease, lambda session: work.give_up(session, row, cause))
        return
    try:
        ending = supervise(lease, lambda notice: work.carry_out(row, folder, notice), limits, stop)
    finally:
        folder.remove()
    log.info("%s: its process %s", row.id, ending)
    if ending.killed != "lease_lost" and ending.status != LEASE_LOST:
        _write(database, row, lease, lambda session: work.settle(session, row, ending))


def _write(database: Database, row: Row, lease: Lease, write: Callable[[Session], None]) -> None:
    """Try as long as the lease is good; later the reaper does it."""
    while lease.is_good:
        try:
            with database.write() as session:
                write(session)
            return
        except LeaseLost:
            return  # the process itself had brought the row to where it belongs
        except UNREACHABLE as error:
            log.warning("%s: what became of it could not be written, trying again: %s", row.id, error)
            time.sleep(SETTLE_PAUSE_SECONDS)
