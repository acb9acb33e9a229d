"""Memory that processes share: how a parent tells what it forked what to do, without signals, threads or pipes."""

from __future__ import annotations

import math
import mmap
import struct
import time
from typing import Final

NOTHING: Final = 0
PAUSE: Final = 1
SHUTDOWN: Final = 2
TIME_IS_UP: Final = 3
CANCEL: Final = 4
HURRY: Final = 5
"""What a notice may say; one of a higher number replaces a lower one, never the other way."""

STOP_REASONS: Final = {PAUSE: "pause", SHUTDOWN: "shutdown", TIME_IS_UP: "shutdown", CANCEL: "cancel"}


_DEADLINE = struct.Struct("d")


class Notice:
    """A few bytes of anonymous memory, made before the fork and seen by both sides after it.

    Besides what is said they hold until when it is good: a moment of the monotonic clock, which all processes of a
    machine share. A child whose parent has stopped prolonging it knows that it is on its own.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8 + _DEADLINE.size)
        self.good_until(math.inf)

    def post(self, value: int) -> None:
        """Say it, unless something more urgent has been said."""
        if value > self._memory[0]:
            self._memory[0] = value

    def read(self) -> int:
        """What has been said."""
        return self._memory[0]

    def settle(self) -> None:
        """The child says that it is about to bring its row to where it belongs: from then on it may hold it no more."""
        self._memory[1] = 1

    def is_settling(self) -> bool:
        """Whether the child has said so."""
        return self._memory[1] == 1

    def good_until(self, deadline: float) -> None:
        """Prolong: `deadline` is in seconds of time.monotonic()."""
        # Eight aligned bytes are stored at once on every machine that we run on.
        _DEADLINE.pack_into(self._memory, 8, deadline)

    def is_good(self) -> bool:
        """Whether the parent has prolonged it in time."""
        return time.monotonic() < float(_DEADLINE.unpack_from(self._memory, 8)[0])

    def close(self) -> None:
        """Give this side's mapping back."""
        self._memory.close()
