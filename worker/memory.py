"""How much memory a process holds of its own, and the limit that it may not pass."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path


def private_bytes(pid: int) -> int:
    """Resident bytes that are no file's: mapped data sets do not count. 0 if the process is gone or cannot be seen."""
    return _status(pid, "RssAnon:") + _status(pid, "VmSwap:")


def limit_data(headroom_bytes: int) -> None:
    """Let this process add at most so many bytes of private memory (RLIMIT_DATA) to what it has inherited.

    RLIMIT_AS would count mapped files too. Beyond the limit an allocation raises MemoryError.
    """
    limit = _status_or(0, "self", "VmData:") + headroom_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def prefer_to_end_me() -> None:
    """Ask the kernel, when the machine itself is out of memory, to end this process before servers and supervisors."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def _status(pid: int, name: str) -> int:
    return _status_or(0, str(pid), name)


def _status_or(default: int, pid: str, name: str) -> int:
    try:
        for line in Path("/proc", pid, "status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return default
