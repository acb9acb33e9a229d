"""`stokerd up` as users run it: one command, killed and stopped in every way."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from stokerd import broker
from stokerd.processes import Identity

READY_SECONDS = 60.0
"""On a machine that does nothing else it is 5 s; this one may be running all other tests."""


class Up:
    """One run of the command."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        self.begun = time.monotonic()
        command = [sys.executable, "-m", "stokerd", "up", "--data-dir", str(directory), "--port", "0", *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("STOKER_")}
        environment["STOKER_RENEW_SECONDS"], environment["STOKER_LEASE_SECONDS"] = "1", "3"
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, process_group=0
        )

    def address(self) -> str:
        """Where it serves, once it is ready."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready http://"), (
            line,
            self.process.stderr.read() if self.process.stderr else "",
            self.logs(),
        )
        return line.split()[1]

    def get(self, address: str, path: str, key: str | None = None) -> int:
        """A request's status."""
        connection = http.client.HTTPConnection(str(urlsplit(address).netloc), timeout=20)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {key}"} if key else {})
            return connection.getresponse().status
        finally:
            connection.close()

    def children(self) -> dict[str, Identity]:
        """What it says that it runs."""
        recorded = json.loads((self.directory / "children.json").read_text())
        return {name: Identity(pid, started) for name, pid, started in recorded}

    def logs(self) -> str:
        """The ends of all logs."""
        files = sorted((self.directory / "logs").glob("*.log"))
        return "\n".join(f"{file.name}: {file.read_text(errors='replace')[-1500:]}" for file in files)

    def end(self) -> None:
        """Whatever happened, nothing stays."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            for stream in (self.process.stdout, self.process.stderr):
                if stream is not None:
                    stream.close()
            for child in self.children().values() if (self.directory / "children.json").exists() else ():
                child.end(0.0)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "data"


@pytest.mark.timeout(180)
def test_ready_refuse_another_survive_a_kill_and_drain(directory):
    first = Up(directory)
    try:
        address = first.address()
        assert time.monotonic() - first.begun < READY_SECONDS
        assert (directory / "address").read_text() == address + "\n"
        key_file = directory / "api-key"
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        key = key_file.read_text().strip()
        assert first.get(address, "/healthz") == 200
        assert first.get(address, "/v1/jobs") == 401
        assert first.get(address, "/v1/jobs", key) == 200
        children = first.children()
        assert set(children) == {"broker", "worker-training", "worker-ingest", "api", "relay"}
        runtime = broker.runtime_directory(directory)
        assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
        assert stat.S_IMODE(broker.socket_path(runtime).stat().st_mode) == 0o700

        # A second one on the same directory is refused, and disturbs nothing.
        second = subprocess.run(
            [sys.executable, "-m", "stokerd", "up", "--data-dir", str(directory), "--port", "0"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert second.returncode == 3
        assert "held by another running" in second.stderr
        assert all(child.alive() for child in children.values())

        # The API is started again when it dies; the address stays, and no connection is refused meanwhile.
        os.kill(children["api"].pid, signal.SIGKILL)
        assert first.get(address, "/v1/jobs", key) == 200
        assert first.children()["api"] != children["api"]

        # So is the broker when a cleaner takes its directory away.
        shutil.rmtree(runtime)
        deadline = time.monotonic() + 30
        while not broker.socket_path(runtime).exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)

        # SIGKILL of the whole thing, and then again, with the same key and data.
        children = first.children()
        first.process.kill()
        first.process.wait()
        again = Up(directory)
        try:
            address = again.address()
            assert again.get(address, "/v1/jobs", key) == 200
            assert not any(child.alive() for child in children.values())
            children = again.children()

            # SIGTERM drains in order and leaves nothing.
            again.process.send_signal(signal.SIGTERM)
            assert again.process.wait(60) == 0
            assert again.process.stderr is not None
            assert f"the API key is in {key_file}" in again.process.stderr.read()
            assert not any(child.alive() for child in children.values())
            assert not (directory / "address").exists()
            assert not runtime.exists()
            assert again.children() == {}
            with pytest.raises(ConnectionRefusedError):
                again.get(address, "/healthz")
        finally:
            again.end()
    finally:
        first.end()


def test_a_port_that_is_taken_is_said(directory):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = subprocess.run(
            [sys.executable, "-m", "stokerd", "up", "--data-dir", str(directory), "--port", str(port)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert answer.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in answer.stderr


def test_a_database_that_cannot_be_prepared_is_said_and_everything_ends(directory):
    directory.mkdir()
    (directory / "stoker.db").write_bytes(b"anything but a database " * 1000)
    up = Up(directory)
    try:
        assert up.process.wait(60) == 1
        assert up.process.stderr is not None
        said = up.process.stderr.read()
        assert "the database cannot be prepared: file is not a database" in said
        assert "Traceback" not in said
        assert up.children() == {}
    finally:
        up.end()
