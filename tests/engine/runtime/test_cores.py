"""Threads that may compute: affinity and quotas, read from files as the kernel writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.runtime.cores import available_cores, quotas


class System:
    """A /proc/self/cgroup and a /sys/fs/cgroup."""

    def __init__(self, root: Path) -> None:
        self.process, self.mount = root / "cgroup", root / "mount"

    def write(self, lines: str, **files: str) -> None:
        """Files by their path, with __ for a slash and _ for a dot in the last part."""
        self.process.write_text(lines)
        for name, text in files.items():
            path = self.mount.joinpath(*name.split("__"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(path.name.replace("cpu_", "cpu.", 1)).write_text(text)

    def quotas(self) -> list[float]:
        """Those found, smallest first."""
        return sorted(quotas(self.process, self.mount))


@pytest.fixture
def system(tmp_path: Path) -> System:
    """An empty one."""
    return System(tmp_path)


def test_the_unified_hierarchy_counts_every_level(system: System):
    system.write("0::/pod/box\n", cpu_max="max 100000\n", pod__cpu_max="400000 100000\n",
                 pod__box__cpu_max="150000 100000\n")
    assert system.quotas() == [1.5, 4.0]


def test_the_divided_hierarchy_also_under_the_names_of_both_its_controllers(system: System):
    (system.mount / "cpu,cpuacct").mkdir(parents=True)
    system.write("5:memory:/x\n3:cpu,cpuacct:/x\n", cpu__x__cpu_cfs_quota_us="50000\n",
                 cpu__x__cpu_cfs_period_us="100000\n", cpu__cpu_cfs_quota_us="-1\n", cpu__cpu_cfs_period_us="100000\n")
    assert system.quotas() == [0.5]


def test_a_path_of_the_host_that_is_not_mounted_here_falls_back_to_the_root(system: System):
    system.write("1:cpu:/docker/0123\n", cpu__cpu_cfs_quota_us="250000\n", cpu__cpu_cfs_period_us="100000\n")
    assert system.quotas() == [2.5]


@pytest.mark.parametrize("text", ["max 100000", "", "nonsense", "0 100000", "-5 100000", "100000 0", "1 2 3"])
def test_what_is_no_quota_limits_nothing(system: System, text: str):
    system.write("0::/\n", cpu_max=text)
    assert system.quotas() == []


def test_lines_that_are_none_are_passed_over(system: System):
    system.write("\n0\n0:cpu\nnonsense\n0::/\n", cpu_max="150000 100000")
    assert system.quotas() == [1.5]


def test_no_control_groups_at_all(tmp_path: Path):
    assert list(quotas(tmp_path / "nowhere", tmp_path)) == []


def test_the_quota_is_rounded_up_and_never_above_the_affinity(system: System):
    cores = len(os.sched_getaffinity(0))
    for text, expected in (("10000 100000", 1), ("90000 100000", 1), ("99900000 100000", cores), ("max 1", cores)):
        system.write("0::/\n", cpu_max=text)
        assert available_cores(system.process, system.mount) == expected


def test_affinity_counts(system: System):
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert available_cores(system.process, system.mount) == 1
    finally:
        os.sched_setaffinity(0, before)
