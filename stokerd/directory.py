"""The data directory of one `stokerd up`: who holds it, what runs for it, and where it says so."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from stokerd.processes import Identity

ORPHAN_GRACE_SECONDS = 10.0


class DirectoryHeld(Exception):
    """Another live `stokerd up` holds the data directory."""


class DataDirectory:
    """Holds the directory by a lock that the kernel gives back when this process dies, however it dies."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self.key_file = self.path / "api-key"
        self.address_file = self.path / "address"
        self._children_file = self.path / "children.json"
        self._lock = -1

    def __enter__(self) -> DataDirectory:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.logs.mkdir(exist_ok=True, mode=0o700)
        self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise DirectoryHeld(f"{self.path} is held by another running `stokerd up`") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    def recorded(self) -> list[tuple[str, Identity]]:
        """What ran for the last `up` when it ended; nothing if it ended in order, or the record is damaged."""
        try:
            recorded = json.loads(self._children_file.read_text())
            return [(str(name), Identity(int(pid), str(began))) for name, pid, began in recorded]
        except (FileNotFoundError, ValueError, TypeError):
            return []

    def end_orphans(self) -> list[str]:
        """End what an `up` that was killed left running here; returns the names of those found alive.

        They were told by their parent-death signal to drain; the grace is for a checkpoint on its way.
        """
        alive = [(name, identity) for name, identity in self.recorded() if identity.alive()]
        for _, identity in alive:
            identity.end(ORPHAN_GRACE_SECONDS)
        return [name for name, _ in alive]

    def record(self, children: Iterable[tuple[str, Identity]]) -> None:
        """Write down what runs, for the next `up`."""
        self.write(self._children_file, json.dumps([(name, child.pid, child.started) for name, child in children]))

    def write(self, file: Path, text: str) -> None:
        """Replace a file of the directory in one step, readable by its owner alone."""
        partial = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(file)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
