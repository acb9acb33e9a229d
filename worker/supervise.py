"""The supervisor: forks the process that does the work, keeps its lease, watches it, and names its death.

The supervisor is a Celery pool child. It has one thread, computes nothing, and holds no database connection while it
forks, so the fork is safe and takes milliseconds with everything imported.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Literal, NoReturn

from store.errors import LeaseLost
from worker import memory
from worker.exits import CRASHED
from worker.lease import Lease
from worker.notice import CANCEL, HURRY, PAUSE, SHUTDOWN, TIME_IS_UP, Notice
from worker.parent_death import die_with

TICK_SECONDS = 0.1
MEMORY_SECONDS = 0.5
CANCEL_GRACE_SECONDS = 5.0
TIME_GRACE_SECONDS = 30.0
SETTLE_GRACE_SECONDS = 5.0

log = logging.getLogger("stoker.worker")

Killed = Literal["lease_lost", "out_of_memory", "hurry", "cancel", "time_limit"]


@dataclass(frozen=True)
class Limits:
    """What the work may use. None: no limit."""

    memory_bytes: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Ending:
    """How the forked process ended: by itself with `status`, or by a signal; `killed` says why if we sent it."""

    status: int | None
    signal: int | None
    killed: Killed | None
    notice: int

    def __str__(self) -> str:
        if self.signal is None:
            return f"ended with exit status {self.status}"
        return f"was ended by {signal.Signals(self.signal).name}"


def supervise(lease: Lease, work: Callable[[Notice], int], limits: Limits, stop: Notice) -> Ending:
    """Run `work` in a forked process until it ends, and say how it ended. `stop` is the whole worker's notice.

    `work` gets the notice on which it is told to stop, and returns its exit status.
    """
    notice = Notice()
    notice.good_until(lease.good_until)
    baseline_bytes = memory.private_bytes(os.getpid())
    lease.database.close()
    alive, child_end = os.pipe()
    parent = os.getpid()
    terminated = _Terminated()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _be_the_child(parent, work, notice)
    os.close(child_end)
    try:
        return _Watch(pid, alive, lease, limits, stop, notice, baseline_bytes, terminated).until_it_ends()
    finally:
        os.close(alive)
        notice.close()
        terminated.hand_back()


def _be_the_child(parent: int, work: Callable[[Notice], int], notice: Notice) -> NoReturn:
    """Nothing of the pool child's life goes on here: no cleanup of its own may run, whatever happens."""
    status = CRASHED
    try:
        die_with(parent)
        signal.set_wakeup_fd(-1)
        # A signal to the whole process group is for the supervisor, which tells this process what to do.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        memory.prefer_to_end_me()
        status = work(notice)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


class _Terminated:
    """While work runs, a SIGTERM to this pool child alone is a request to stop the work, not to drop it."""

    def __init__(self) -> None:
        self.requested = False
        self._before = signal.signal(signal.SIGTERM, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True

    def hand_back(self) -> None:
        """Restore the pool's own handler, and let it have the signal that came."""
        signal.signal(signal.SIGTERM, self._before)
        if self.requested:
            os.kill(os.getpid(), signal.SIGTERM)


class _Watch:
    """One forked process under observation."""

    def __init__(
        self,
        pid: int,
        alive: int,
        lease: Lease,
        limits: Limits,
        stop: Notice,
        notice: Notice,
        baseline_bytes: int,
        terminated: _Terminated,
    ) -> None:
        self.pid = pid
        self.alive = alive
        self.lease = lease
        self.limits = limits
        self.stop = stop
        self.notice = notice
        self.baseline_bytes = baseline_bytes
        self.terminated = terminated
        self.killed: Killed | None = None
        self.started = time.monotonic()
        self.cancelled_at: float | None = None
        self._measure_at = self.started
        self._settled_at: float | None = None

    def until_it_ends(self) -> Ending:
        """Look after it; its end of the pipe closes when it dies, however it dies."""
        try:
            while not select.select([self.alive], [], [], TICK_SECONDS)[0]:
                if self.killed is None:
                    self._heed_the_worker()
                    self._heed_the_lease()
                    self._heed_the_limits()
        except BaseException:
            os.kill(self.pid, signal.SIGKILL)  # nobody would look after it any more
            os.waitpid(self.pid, 0)
            raise
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return Ending(code if code >= 0 else None, -code if code < 0 else None, self.killed, self.notice.read())

    def _heed_the_worker(self) -> None:
        told = self.stop.read()
        if told >= HURRY:
            self._kill("hurry")
        elif told >= SHUTDOWN or self.terminated.requested:
            self.notice.post(SHUTDOWN)

    def _heed_the_lease(self) -> None:
        try:
            flags = self.lease.keep()
        except LeaseLost:
            # Either somebody took the row, or the work itself has just ended it and is about to exit.
            if not self.notice.is_settling() or self._settled_for(SETTLE_GRACE_SECONDS):
                self._kill("lease_lost")
            return
        self.notice.good_until(self.lease.good_until)
        if not self.lease.is_good:
            self._kill("lease_lost")
        elif flags is not None and flags.cancel:
            self.cancelled_at = self.cancelled_at or time.monotonic()
            self.notice.post(CANCEL)
        elif flags is not None and flags.pause:
            self.notice.post(PAUSE)
        if self.cancelled_at is not None and time.monotonic() - self.cancelled_at > CANCEL_GRACE_SECONDS:
            self._kill("cancel")

    def _heed_the_limits(self) -> None:
        now = time.monotonic()
        if self.limits.seconds is not None and now - self.started > self.limits.seconds:
            self.notice.post(TIME_IS_UP)
            if now - self.started > self.limits.seconds + TIME_GRACE_SECONDS:
                self._kill("time_limit")
        if self.limits.memory_bytes is not None and now >= self._measure_at:
            self._measure_at = now + MEMORY_SECONDS
            if memory.private_bytes(self.pid) - self.baseline_bytes > self.limits.memory_bytes:
                self._kill("out_of_memory")

    def _settled_for(self, seconds: float) -> bool:
        self._settled_at = self._settled_at or time.monotonic()
        return time.monotonic() - self._settled_at > seconds

    def _kill(self, why: Killed) -> None:
        log.warning("%s: ending process %d: %s", self.lease.id, self.pid, why)
        self.killed = why
        os.kill(self.pid, signal.SIGKILL)
