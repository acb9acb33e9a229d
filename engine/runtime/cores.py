"""How many threads may compute at once: the cores this process may run on, within the quota of its control groups."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

PROCESS, MOUNT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def available_cores(process: Path = PROCESS, mount: Path = MOUNT) -> int:
    """At least 1. A quota of 1.5 cores is two threads: one would leave a third of it unused."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min([float(here), *quotas(process, mount)])))


def quotas(process: Path = PROCESS, mount: Path = MOUNT) -> Iterator[float]:
    """Cores that each control group above this process allows, where one does (cgroups(7), versions 2 and 1)."""
    try:
        lines = process.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if not (number and colon):
            continue
        for group in (PurePosixPath(path), *PurePosixPath(path).parents):
            folder = group.relative_to("/") if group.is_absolute() else group
            if not controllers:
                yield from _unified(mount / folder / "cpu.max")
            elif "cpu" in controllers.split(","):
                for name in {controllers, "cpu"}:
                    yield from _divided(mount / name / folder)


def _unified(file: Path) -> Iterator[float]:
    """Version 2: `max 100000`, or microseconds of each period."""
    words = _words(file)
    if len(words) == 2 and words[0] != "max":
        yield from _cores(*words)


def _divided(folder: Path) -> Iterator[float]:
    """Version 1: -1 is no quota."""
    quota, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
    if quota and period:
        yield from _cores(quota[0], period[0])


def _cores(quota: str, period: str) -> Iterator[float]:
    if quota.isdigit() and period.isdigit() and int(quota) > 0 and int(period) > 0:
        yield int(quota) / int(period)


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
