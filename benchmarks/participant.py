"""A process of a comparison: it trains when told to and waits otherwise. Numpy only, so that every peer can import it.

    python -m benchmarks.ours FOLDER CONFIGURATION THREADS [--no-dropout]

Lines of JSON on stdout and stdin: first the process says {"losses", "import_seconds", "import_bytes",
"first_step_seconds", "flops"}, then it answers {"seconds": s} (train about so long) with {"steps", "seconds"}, and {}
with {"peak_bytes"}.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from benchmarks.problem import Problem

LOSSES = 10
"""Steps whose losses are compared."""


class Trainer(Protocol):
    """Training that stands ready with the problem's initial weights.

    `granularity` divides the steps of a run. `flops` are the floating-point operations of a step by the way they are
    counted, where they are known. `run` returns when all its steps are done.
    """

    @property
    def granularity(self) -> int:
        """1, or the steps of one call."""

    @property
    def flops(self) -> dict[str, int]:
        """Of one step."""

    def losses(self, steps: int) -> list[float]:
        """Losses of the next steps; called before anything is timed."""

    def run(self, steps: int) -> None:
        """Train on."""


@dataclass(frozen=True)
class Settings:
    """What a process is told on its command line."""

    folder: Path
    configuration: str
    threads: int
    dropout: bool

    def problem(self) -> Problem:
        """The problem in the folder."""
        return Problem.load(self.folder, dropout=self.dropout)


def settings() -> Settings:
    """Read the command line, and keep to `threads` cores where there are more: not every library can be told."""
    options = argparse.ArgumentParser()
    options.add_argument("folder", type=Path)
    options.add_argument("configuration")
    options.add_argument("threads", type=int)
    options.add_argument("--no-dropout", dest="dropout", action="store_false")
    chosen = Settings(**vars(options.parse_args()))
    available = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, available[: chosen.threads])
    return chosen


def serve(start: Callable[[], Trainer]) -> None:
    """Take part: `start` builds the trainer. Called once everything is imported."""
    answers = _claim_stdout()
    imported = {"import_seconds": age_seconds(), "import_bytes": memory_bytes("VmRSS")}
    began = time.perf_counter()
    trainer = start()
    losses = trainer.losses(1)
    first_step_seconds = time.perf_counter() - began
    losses += trainer.losses(LOSSES - 1)
    _say(answers, losses=losses, first_step_seconds=first_step_seconds, flops=trainer.flops, **imported)
    seconds_per_step: float | None = None
    for line in sys.stdin:
        wanted = json.loads(line)
        if "seconds" not in wanted:
            _say(answers, peak_bytes=memory_bytes("VmHWM"))
            continue
        steps = rounded(wanted["seconds"], seconds_per_step, trainer.granularity)
        began = time.perf_counter()
        trainer.run(steps)
        seconds = time.perf_counter() - began
        seconds_per_step = seconds / steps
        _say(answers, steps=steps, seconds=seconds)


def rounded(seconds: float, seconds_per_step: float | None, granularity: int) -> int:
    """Steps that take about so long; the first time, when nothing is known, as few as can be."""
    if seconds_per_step is None:
        return granularity
    return max(1, round(seconds / seconds_per_step / granularity)) * granularity


def memory_bytes(field: str) -> int:
    """A figure of this process: VmRSS is what is resident now, VmHWM the most there was."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"expected {field} in /proc/self/status")


def age_seconds() -> float:
    """Since this process was started."""
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


def _claim_stdout() -> IO[str]:
    """Stdout for answers alone: what libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _say(answers: IO[str], **document: object) -> None:
    print(json.dumps(document), file=answers, flush=True)
