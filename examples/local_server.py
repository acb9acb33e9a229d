"""A whole Stoker server for the length of a script: `stokerd up` on a temporary directory and a free port."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

READY_SECONDS = 60.0
STOP_SECONDS = 60.0


class LocalServer:
    """Started on entering, stopped on leaving; `url` and `data_dir` are what a client needs.

    Leaving raises RuntimeError when the server did not stop cleanly or left a process behind. The directory is removed
    then; after an exception it stays, for its logs. SIGTERM ends the script as Ctrl-C does, so that the server is
    stopped then too.
    """

    def __init__(self) -> None:
        self.data_dir = Path(tempfile.mkdtemp(prefix="stoker-"))
        self.url = ""
        self._messages = (self.data_dir / "stokerd.log").open("w+")
        command = [sys.executable, "-m", "stokerd", "up", "--data-dir", str(self.data_dir), "--port", "0"]
        # A session of its own: Ctrl-C reaches the script, which then drains the server.
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._messages, text=True, start_new_session=True
        )

    def __enter__(self) -> Self:
        self._handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
        timer = threading.Timer(READY_SECONDS, self._process.kill)
        timer.start()
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("ready "):
                self.url = line.split()[1]
                break
        timer.cancel()
        if not self.url:
            self._process.wait()
            self._messages.seek(0)
            raise RuntimeError(f"stokerd up did not become ready:\n{self._messages.read()}logs: {self.data_dir}/logs")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGTERM, self._handler)
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            code = None
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._messages.close()
        left = left_behind(self.data_dir)
        if error is not None:
            print(f"the server's logs are in {self.data_dir}", file=sys.stderr)
            return
        if code != 0 or left:
            raise RuntimeError(f"stokerd up ended with {code}, left processes {left}; logs: {self.data_dir}/logs")
        shutil.rmtree(self.data_dir)


def left_behind(data_dir: Path, patience_seconds: float = 2.0) -> list[int]:
    """Process ids whose command or environment names `data_dir`. Empty where there is no /proc to ask."""
    deadline = time.monotonic() + patience_seconds
    while True:
        found = [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _names(entry, os.fsencode(data_dir))]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def _names(process: Path, text: bytes) -> bool:
    try:
        return text in (process / "cmdline").read_bytes() or text in (process / "environ").read_bytes()
    except OSError:  # it ended meanwhile, or belongs to somebody else
        return False
