"""A contender that computes nothing: python -m tests.benchmarks.pretender FOLDER CONFIGURATION THREADS [--no-dropout]

CONFIGURATION is `NAME=VALUE` pairs with commas between: `loss`, `after` (losses of the first and of the later steps),
`ms` (of a step), `fail` (to end before it is ready, or `later`). Every piece of work goes into FOLDER/work.txt.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import ClassVar

from benchmarks.participant import Settings, serve, settings


class Pretender:
    granularity = 1
    flops: ClassVar[dict[str, int]] = {"direct": 10**6, "executed": 2 * 10**6}

    def __init__(self, chosen: Settings) -> None:
        self.options = dict(pair.split("=") for pair in chosen.configuration.split(","))
        self.folder = chosen.folder
        self.dropout = chosen.dropout
        if self.options.get("fail") == "now":
            sys.exit("cannot be imported")

    def losses(self, steps: int) -> list[float]:
        self._work("losses", 0.02)
        later = float(self.options.get("after", self.options["loss"]))
        return [float(self.options["loss"])] if steps == 1 else [later] * steps

    def run(self, steps: int) -> None:
        if self.options.get("fail") == "later":
            sys.exit("broke down")
        self._work("run", steps * float(self.options.get("ms", 1)) / 1e3)

    def _work(self, what: str, seconds: float) -> None:
        """Busy all the time: a process that is stopped in the middle of it would show."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            pass
        line = f"{os.getpid()} {what} {began} {time.monotonic()} {self.dropout}\n"
        with Path(self.options.get("notes", self.folder / "work.txt")).open("a") as notes:
            notes.write(line)


if __name__ == "__main__":
    chosen = settings()
    serve(lambda: Pretender(chosen))
