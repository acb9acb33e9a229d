"""How long our first step takes with an empty kernel cache, and in a second process with the kernels it left."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.step import make_problem
from benchmarks.turns import Process
from benchmarks.workloads import Workload

COLUMNS = ("workload", "first step, empty cache", "first step, from the cache", "kernels", "import")
Start = Callable[[Path, dict[str, str]], AbstractContextManager[Process]]


def first_steps(workload: Workload, start: Start) -> tuple[str, ...]:
    """A line of the table; `start` starts the engine on a problem's folder with an environment."""
    with tempfile.TemporaryDirectory(prefix="stoker-bench-") as scratch:
        folder = Path(scratch)
        make_problem(workload).save(folder)
        environment = {"STOKER_KERNEL_CACHE": str(folder / "kernels")}
        with start(folder, environment) as cold:
            seconds = [float(cold.ready["first_step_seconds"])]
        kernels = sum(file.is_file() for file in (folder / "kernels").rglob("*"))
        with start(folder, environment) as warm:
            seconds.append(float(warm.ready["first_step_seconds"]))
            imported = float(warm.ready["import_seconds"])
    return workload.name, *(f"{value:.2f} s" for value in seconds), str(kernels), f"{imported:.2f} s"


def rows(workloads: list[Workload], start: Start) -> Iterator[tuple[str, ...]]:
    """A line for each workload."""
    for workload in workloads:
        yield first_steps(workload, start)
