"""The processes of a comparison. Only one ever works: the others are stopped, threads and children included."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 180.0
"""For a process to import, compile and do its first steps, and for any answer later."""


@dataclass(frozen=True)
class Contender:
    """A library in one configuration: `label` is how it is called in the results."""

    label: str
    module: str
    configuration: str


def _environment() -> dict[str, str]:
    """Python may keep the engine's bytecode, as pip has kept that of the peers when it installed them."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Failed(Exception):
    """A process ended before its time, or took too long; the message says which."""


class Process:
    """One contender at work on a problem. Between `ask`s, and after entering, it is stopped.

    What its libraries write goes to a file in the problem's folder.
    """

    def __init__(self, contender: Contender, interpreter: Path, folder: Path, threads: int, *, dropout: bool = True,
                 environment: Mapping[str, str] | None = None) -> None:
        self.contender = contender
        command = [str(interpreter), "-m", contender.module, str(folder), contender.configuration, str(threads)]
        self._messages = folder / f"{contender.label}.log"
        with self._messages.open("w") as messages:
            self._process = subprocess.Popen(
                command if dropout else [*command, "--no-dropout"], cwd=ROOT,
                env={**_environment(), **(environment or {})}, text=True, start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=messages,
            )
        self.ready: dict[str, Any] = {}

    def __enter__(self) -> Self:
        try:
            self.ready = self._read()
        except BaseException:
            self._end()
            raise
        self._signal(signal.SIGSTOP)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._end()

    def ask(self, **question: float) -> dict[str, Any]:
        """Let it work until it has answered. Raises Failed if it ends instead."""
        assert self._process.stdin is not None
        self._signal(signal.SIGCONT)
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            return self._read()
        except BrokenPipeError:
            raise self._failure() from None
        finally:
            self._signal(signal.SIGSTOP)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], PATIENCE_SECONDS)[0]:
            raise Failed(f"{self.contender.label}: no answer in {PATIENCE_SECONDS:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise self._failure()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _failure(self) -> Failed:
        self._process.wait()
        lines = self._messages.read_text(errors="replace").strip().splitlines()
        return Failed(f"{self.contender.label}: {' / '.join(lines[-3:])}")

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _end(self) -> None:
        """The whole group goes: compilers that a library left running are in it."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
