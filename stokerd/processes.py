"""Processes told apart for certain: a pid is reused, a pid with its start time is not."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Identity:
    """One process, for as long as it lives. `started` is opaque: equal for the same process, never for another."""

    pid: int
    started: str

    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return started(self.pid) == self.started

    def send(self, number: int) -> None:
        """Signal the process, if it still is the one meant."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)

    def end(self, grace_seconds: float) -> None:
        """SIGTERM, and when the grace is over SIGKILL to the whole process group that it leads."""
        self.send(signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        if self.alive():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                (os.killpg if os.getpgid(self.pid) == self.pid else os.kill)(self.pid, signal.SIGKILL)


def started(pid: int) -> str | None:
    """When a process began, as an opaque text with the machine's boot in it; None if it is dead or a zombie."""
    if PROC.joinpath("self/stat").exists():
        try:
            # The command's name is in brackets and may hold spaces and brackets itself.
            fields = PROC.joinpath(str(pid), "stat").read_text(errors="replace").rpartition(")")[2].split()
            boot = PROC.joinpath("sys/kernel/random/boot_id").read_text().strip()
        except (OSError, ValueError):
            return None
        return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"
    answer = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, began = answer.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else began.strip()


def identify(pid: int) -> Identity | None:
    """The identity of a running process."""
    began = started(pid)
    return Identity(pid, began) if began is not None else None
