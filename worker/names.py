"""Names by which workers are known."""

from __future__ import annotations

import socket


def worker_name(queue: str, pid: int) -> str:
    """The name of the Celery worker of `queue` that is process `pid` of this machine."""
    return f"{queue}-{pid}@{socket.gethostname()}"
