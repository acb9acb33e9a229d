"""A supervised child: started in a process group of its own, restarted with a growing pause when it dies."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from stokerd.processes import Identity, identify
from worker.parent_death import die_with

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 30.0
LOG_BYTES = 32 * 1024 * 1024


class Child:
    """One command of the supervised set."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        logs: Path,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.command = list(command)
        self.environment = dict(environment)
        self.log_file = logs / f"{name}.log"
        self.pass_fds = tuple(pass_fds)
        self.process: subprocess.Popen[bytes] | None = None
        self.identity: Identity | None = None
        self.restarts = 0
        self._pause = FIRST_PAUSE_SECONDS
        self._started_at = 0.0
        self._start_after = 0.0

    @property
    def running(self) -> bool:
        """Whether a process has been started and not been seen dead."""
        return self.process is not None

    @property
    def uptime_seconds(self) -> float:
        """How long the process has been running; 0 if it is not."""
        return time.monotonic() - self._started_at if self.running else 0.0

    def start(self) -> None:
        """Start the process; its output is appended to its log."""
        parent = os.getpid()

        def before_exec() -> None:
            die_with(parent, signal.SIGTERM)

        self._rotate()
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=self.pass_fds,
                process_group=0,
                preexec_fn=before_exec,
            )
        self._started_at = time.monotonic()
        self.identity = identify(self.process.pid)

    def died(self) -> int | None:
        """The exit status if the process has ended since the last look (negative: by that signal), else None.

        What it leaves in its process group is killed before its pid is given back, so no other group can be meant.
        """
        if self.process is None:
            return None
        if os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        status = self.process.wait()
        self.process = self.identity = None
        if time.monotonic() - self._started_at >= STEADY_SECONDS:
            self._pause = FIRST_PAUSE_SECONDS
        self._start_after = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        return status

    def start_if_due(self) -> bool:
        """Start a dead process again once its pause is over."""
        if self.running or time.monotonic() < self._start_after:
            return False
        self.restarts += 1
        self.start()
        return True

    def signal(self, number: int) -> None:
        """Signal the process; nothing if it has ended."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def kill(self) -> None:
        """End the process and all it started, at once."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def _rotate(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self.log_file.stat().st_size > LOG_BYTES:
                self.log_file.replace(self.log_file.with_suffix(".log.1"))
