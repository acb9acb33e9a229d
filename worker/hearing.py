"""Does this worker still hear its broker? Messages that lie before an idle worker say that it does not."""

from __future__ import annotations

DEAF_AFTER = 3
"""Looks in a row that must find waiting messages and an idle worker."""


class Hearing:
    """Counts looks. An idle worker takes a message within milliseconds, so a few seconds of it are no coincidence.

    Seen once after a broker was killed between a message and its acknowledgement: the connection stood again, and
    nothing was ever taken from it.
    """

    def __init__(self) -> None:
        self._unheard = 0

    def lost(self, *, waiting: int, busy: int) -> bool:
        """One look: messages in the queue and tasks in this worker. True once it has not heard for long enough."""
        self._unheard = self._unheard + 1 if waiting and not busy else 0
        return self._unheard >= DEAF_AFTER
