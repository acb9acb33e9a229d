"""A whole server, `stokerd up`, for the pages' commands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which a server is running as after `make serve`: its data are in ./stoker-data."""
    folder = tmp_path_factory.mktemp("walk")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STOKER_")}
    with (folder / "stokerd.log").open("w") as log:
        process = subprocess.Popen(
            [BIN / "stokerd", "up", "--port", "0"],
            cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
        )  # fmt: skip
        timer = threading.Timer(60, process.kill)
        timer.start()
        assert process.stdout is not None
        ready = any(line.startswith("ready ") for line in process.stdout)
        timer.cancel()
        try:
            assert ready, (folder / "stokerd.log").read_text()
            yield folder
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            process.stdout.close()
    assert code == 0, (folder / "stokerd.log").read_text()
