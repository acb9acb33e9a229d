"""The threads that do a session's work, while the thread that asked for it waits where signals reach it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from engine.errors import HungError
from engine.runtime import stream as streams
from engine.runtime.stream import Stream

LOOK_SECONDS = 0.1
"""Between two looks of the waiting thread: is it to leave, and does the work go on?"""
HUNG_SECONDS = 120.0
"""Without a chunk done for so long, a call will never end. The longest ones known take seconds."""


class Left(Exception):
    """The run was left between two calls of a step: weights may be half updated, and the session is of no more use."""


class Workers:
    """`threads` threads that share sessions' work and wait between runs. The first run starts them.

    Orders and answers go through queues that are written in C: a signal's handler may raise at any moment without
    leaving a lock behind, as it might in an executor of the standard library.
    """

    def __init__(self, threads: int, *, hung_seconds: float = HUNG_SECONDS) -> None:
        self.threads = threads
        self._hung_looks = max(1, round(hung_seconds / LOOK_SECONDS))
        self._hung = False
        self._orders: SimpleQueue[Run | None] = SimpleQueue()
        self._helpers: list[Thread] = []
        self._run: Run | None = None
        weakref.finalize(self, _dismiss, self._orders, threads)

    def run(self, stream: Stream, steps: int, leave: Callable[[], bool] | None = None) -> int:
        """Run up to `steps` steps and return how many were done.

        `leave` is asked ten times a second, by this thread; where it says so, Left is raised. Raises HungError, which
        names the call, if nothing goes on any more, also on the way out. If a signal's handler raises, the step at hand
        is finished first.
        """
        if self._hung:
            raise HungError("the threads still wait for a call that does not end")
        while len(self._helpers) < self.threads:
            helper = Thread(target=_help, args=(self._orders,), name="stoker-compute", daemon=True)
            helper.start()
            self._helpers.append(helper)
        if self._run is not None:  # whose end a signal's handler has cut short
            self._end(self._run)
        stream.reset(steps)
        threads = min(self.threads, stream.widest)
        run = self._run = Run(stream, threads, steps)
        try:
            for _ in range(threads):
                self._orders.put(run)
            while not run.answered(LOOK_SECONDS):
                if leave is not None and leave():
                    stream.leave()
                    raise Left
                self._look(run)
        finally:
            if not self._hung:
                self._end(run)
                self._run = None
        return int(stream.control[streams.STEPS_DONE])

    def _end(self, run: Run) -> None:
        """Close a run and wait for those inside, who leave after the step they are in at the latest."""
        run.close()
        while run.inside:
            if not run.answered(LOOK_SECONDS):
                self._look(run)

    def _look(self, run: Run) -> None:
        """Raise HungError if nothing has gone on for too many looks."""
        if run.idle_looks() >= self._hung_looks:
            self._hung = True
            seconds = self._hung_looks * LOOK_SECONDS
            raise HungError(f"nothing has gone on for {seconds:g} s in {run.stream.at()}")

    def close(self) -> None:
        """End the threads; one that hangs in a call ends with the process."""
        _dismiss(self._orders, len(self._helpers))
        while self._helpers:
            helper = self._helpers.pop()
            if not self._hung:
                helper.join()


class Run:
    """One run of a stream. After `close`, no thread that comes late gets in; `inside` says how many still are."""

    def __init__(self, stream: Stream, threads: int, steps: int) -> None:
        self.stream = stream
        self._threads, self._steps = threads, steps
        self._answers: SimpleQueue[BaseException | None] = SimpleQueue()
        # A plain lock: a signal's handler that raises between a Condition's lock and its block would leave it locked.
        self._lock = Lock()
        self.inside = 0
        self._over = False
        self._seen, self._idle = -1, 0

    def take_part(self) -> None:
        """A thread's part, from when it comes until all steps are done."""
        with self._lock:
            if self._over:
                return
            self.inside += 1
        try:
            self.stream.run(self._threads, self._steps)
        finally:
            with self._lock:
                self.inside -= 1
            self._answers.put(None)

    def answered(self, seconds: float) -> bool:
        """Wait so long at most for a thread to come out."""
        try:
            self._answers.get(timeout=seconds)
        except Empty:
            return False
        return True

    def idle_looks(self) -> int:
        """Looks in a row, this one included, that found no chunk done since the one before.

        Looks are counted, not seconds: a process that was stopped for an hour has looked once.
        """
        before, self._seen = self._seen, self.stream.progress()
        self._idle = self._idle + 1 if self._seen == before else 0
        return self._idle

    def close(self) -> None:
        """Let nobody in, and ask those inside to end after this step. May be called again."""
        with self._lock:
            self._over = True
        self.stream.finish()


def _help(orders: SimpleQueue[Run | None]) -> None:
    """A thread's life: it takes part in runs until it is dismissed."""
    while (run := orders.get()) is not None:
        run.take_part()
        del run


def _dismiss(orders: SimpleQueue[Run | None], helpers: int) -> None:
    for _ in range(helpers):
        orders.put(None)
