"""A real Valkey for a test, on a unix socket in a short directory."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stokerd.broker import command, socket_path, url


@contextmanager
def broker() -> Iterator[str]:
    """Its address as Celery spells it."""
    with tempfile.TemporaryDirectory(prefix="vk", dir="/tmp") as folder:
        directory = Path(folder)
        with subprocess.Popen(command(directory), stdout=subprocess.DEVNULL, cwd=directory) as process:
            try:
                deadline = time.monotonic() + 10
                while not socket_path(directory).exists():
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                yield url(directory)
            finally:
                process.terminate()
