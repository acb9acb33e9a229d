"""A worker's claim on one row: renewed in time, or presumed lost before anybody else may take the row."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from store.repositories.leases import Flags, LeaseRepository
from store.session import Database
from store.settings import Settings

SAFE_SHARE = 0.8
"""Of a lease of 30 s a worker that cannot renew trusts 24 s: the rest is for the clocks and for ending the work."""

UNREACHABLE = (OperationalError, InterfaceError, InternalError, PoolTimeout)
"""What a database that is away, restarting or overloaded makes a call raise."""

log = logging.getLogger("stoker.worker")


class Lease:
    """The lease of (id, token), as its supervisor keeps it.

    The monotonic clock decides, so that a jump of the wall clock neither ends nor prolongs a lease.
    """

    def __init__(
        self,
        database: Database,
        repository: Callable[[Session], LeaseRepository[Any]],
        id: str,
        token: int,
        settings: Settings,
        *,
        claimed_at: float,
    ) -> None:
        self.database = database
        self.repository = repository
        self.id = id
        self.token = token
        self.settings = settings
        self.good_until = claimed_at + settings.lease_seconds * SAFE_SHARE
        self._renew_at = claimed_at + settings.renew_seconds
        self._poll_at = claimed_at + settings.poll_seconds

    def keep(self) -> Flags | None:
        """Renew if it is time, look at the flags if it is time; the flags if they were read.

        A database that does not answer is passed over: `good_until` says how long. Raises LeaseLost.
        """
        now = time.monotonic()
        renew = now >= self._renew_at
        if not renew and now < self._poll_at:
            return None
        self._poll_at = now + self.settings.poll_seconds
        try:
            if renew:
                with self.database.write() as session:
                    flags = self.repository(session).renew(self.id, self.token, self.settings.lease_seconds)
                # Counted from before the call: the database counted from some moment after it.
                self.good_until = now + self.settings.lease_seconds * SAFE_SHARE
                self._renew_at = now + self.settings.renew_seconds
            else:
                with self.database.read() as session:
                    flags = self.repository(session).flags(self.id, self.token)
        except UNREACHABLE as error:
            log.warning("%s: the lease could not be %s: %s", self.id, "renewed" if renew else "read", error)
            return None
        return flags

    @property
    def is_good(self) -> bool:
        """Whether nobody else can have taken the row yet."""
        return time.monotonic() < self.good_until
