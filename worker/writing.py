"""Writes that must not be given up while the lease is good: the database may be away for a moment, or answer late."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import NoReturn, TypeVar

from sqlalchemy.orm import Session

from store.errors import LeaseLost
from store.session import Database
from worker.exits import LEASE_LOST
from worker.lease import UNREACHABLE
from worker.notice import Notice

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
PATIENCE_SECONDS = 60.0
"""A database that is away ends the lease before this; one that refuses just this write for so long will not take it."""

T = TypeVar("T")
log = logging.getLogger("stoker.worker")


class Patience:
    """Waits between tries, longer each time; raises the error of the try when it has lasted too long."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._since: float | None = None
        self._pause_seconds = FIRST_PAUSE_SECONDS

    def wait(self, error: Exception) -> None:
        """After a failed try. Raises `error` when patience is at its end."""
        self._since = self._since or time.monotonic()
        if time.monotonic() - self._since > PATIENCE_SECONDS:
            raise error
        log.warning("%s failed, trying again: %s", self.what, error)
        time.sleep(self._pause_seconds)
        self._pause_seconds = min(self._pause_seconds * 2, LONGEST_PAUSE_SECONDS)


def keep_writing(
    database: Database,
    notice: Notice,
    write: Callable[[Session], T],
    landed: Callable[[Session], T | None] | None = None,
) -> T:
    """`write` in one transaction, again and again until it has happened, in a forked process under `notice`.

    When a COMMIT's outcome is unknown, `landed` reads it back: what `write` would have returned if it did happen, else
    None. Without it `write` must be harmless when repeated. A lost lease ends this process at once: nothing after it
    may be written, by any thread.
    """
    patience = Patience("a write")
    unsure = False
    while True:
        if not notice.is_good():
            leave("the lease was not prolonged in time")
        try:
            if unsure and landed is not None:
                with database.read() as session:
                    found = landed(session)
                if found is not None:
                    return found
            with database.write() as session:
                return write(session)
        except LeaseLost as lost:
            leave(str(lost))
        except UNREACHABLE as error:
            unsure = True
            patience.wait(error)


def leave(why: str) -> NoReturn:
    """End this process without another write."""
    log.error("leaving: %s", why)
    os._exit(LEASE_LOST)
