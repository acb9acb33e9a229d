"""Keeps a set of children running, and takes it down in order."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from types import FrameType

from stokerd.child import Child
from stokerd.processes import Identity

LAST_GRACE_SECONDS = 5.0
TICK_SECONDS = 0.2


class Supervisor:
    """Starts children, restarts those that die, and drains them when told by SIGTERM or Ctrl-C.

    `changed` is called with the identities of all that run whenever one starts or dies, before anything else happens.
    """

    def __init__(
        self, *, changed: Callable[[Iterable[tuple[str, Identity]]], None], say: Callable[[str], None]
    ) -> None:
        self.children: list[Child] = []
        self.stop_requests = 0
        self._changed = changed
        self._say = say
        self._wake, self._woken = socket.socketpair()
        for end in (self._wake, self._woken):
            end.setblocking(False)

    def install_signals(self) -> None:
        """Let SIGTERM and SIGINT ask for the drain (a second one hurries it), and a child's death wake the loop."""
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._request_stop)
        signal.signal(signal.SIGINT, self._request_stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def _request_stop(self, number: int, frame: FrameType | None) -> None:
        self.stop_requests += 1

    def close(self) -> None:
        """Give back what wakes the loop; nothing can be supervised afterwards."""
        signal.set_wakeup_fd(-1)
        self._wake.close()
        self._woken.close()

    def start(self, child: Child) -> None:
        """Add a child and start it."""
        self.children.append(child)
        child.start()
        self._record()

    def tick(self, timeout_seconds: float = TICK_SECONDS) -> None:
        """Wait for a signal, a death or the time, then look after every child once."""
        self._wait(timeout_seconds)
        for child in self.children:
            self._reap(child)
            if not self.stop_requests and child.start_if_due():
                self._say(f"{child.name} started again (pid {child.process.pid if child.process else '?'})")
                self._record()

    def drain(self, stages: Sequence[tuple[Sequence[Child], float]]) -> None:
        """Stop all children, stage by stage: SIGTERM, wait as long as the stage may take, then kill.

        Another SIGTERM or Ctrl-C during the drain is passed on, and leaves the children only seconds.
        """
        requests = max(self.stop_requests, 1)
        self.stop_requests = requests
        staged = [child for stage, _ in stages for child in stage]
        rest = [child for child in self.children if child not in staged]
        for stage, grace_seconds in [*stages, (rest, LAST_GRACE_SECONDS)]:
            deadline = time.monotonic() + (grace_seconds if requests == 1 else LAST_GRACE_SECONDS)
            for child in stage:
                for _ in range(requests):
                    child.signal(signal.SIGTERM)
            while any(child.running for child in stage) and time.monotonic() < deadline:
                self._wait(TICK_SECONDS)
                for child in self.children:
                    self._reap(child)
                if self.stop_requests > requests:
                    requests = self.stop_requests
                    self._say("hurrying: what is not stored within seconds is trained again")
                    deadline = min(deadline, time.monotonic() + LAST_GRACE_SECONDS)
                    for child in stage:
                        child.signal(signal.SIGTERM)
            for child in stage:
                if child.running:
                    self._say(f"{child.name} did not end in time: killed")
                    child.kill()
        while any(child.running for child in self.children):
            self._wait(TICK_SECONDS)
            for child in self.children:
                self._reap(child)

    def _reap(self, child: Child) -> None:
        status = child.died()
        if status is None:
            return
        if not self.stop_requests:
            cause = signal.Signals(-status).name if status < 0 else f"exit status {status}"
            self._say(f"{child.name} died ({cause}); see {child.log_file}")
        self._record()

    def _record(self) -> None:
        """A full disk must not take down what runs: children end with this process even if no record names them."""
        try:
            self._changed([(child.name, child.identity) for child in self.children if child.identity is not None])
        except OSError as error:
            self._say(f"what runs could not be written down: {error.strerror or error}")

    def _wait(self, timeout_seconds: float) -> None:
        select.select([self._woken], [], [], timeout_seconds)
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(512):
                pass
