"""The folder of compiled kernels stays within its bounds, whoever else works in it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine import environment
from engine.codegen import cache
from engine.errors import CompileError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STOKER_KERNEL_CACHE", str(tmp_path))
    return tmp_path


def aged(folder: Path, name: str, size: int, days: float) -> Path:
    """A file that was used so many days ago."""
    file = folder / name
    file.write_bytes(bytes(size))
    then = time.time() - days * 86400
    os.utime(file, (then, then))
    return file


def test_what_was_not_used_for_the_longest_goes_first(folder):
    files = [aged(folder, f"{days}.o", 100, days) for days in range(10)]
    cache.trim(folder, 1000)
    assert all(file.exists() for file in files)
    cache.trim(folder, 999)
    assert [file.exists() for file in files] == [True] * 7 + [False] * 3


def test_a_file_that_is_read_counts_as_used(folder):
    cache.write("old", b"content")
    then = time.time() - 3 * 86400
    os.utime(folder / "old", (then, then))
    aged(folder, "older.o", 1000, 2)
    assert cache.read("old") == b"content"
    cache.trim(folder, 500)
    assert [file.name for file in folder.iterdir()] == ["old"]


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(folder):
    left, living = aged(folder, ".a.part", 10, 1), aged(folder, ".b.part", 10, 0)
    cache.trim(folder, 10**9)
    assert (left.exists(), living.exists()) == (False, True)


def test_the_limit_is_a_setting(folder, monkeypatch):
    aged(folder, "old.o", 5000, 1)
    monkeypatch.setenv("STOKER_KERNEL_CACHE_BYTES", "1000")
    monkeypatch.setattr(cache, "_written", 0)
    cache.write("new", b"content")
    assert [file.name for file in folder.iterdir()] == ["new"]
    monkeypatch.setenv("STOKER_KERNEL_CACHE_BYTES", "1 GB")
    with pytest.raises(CompileError, match="STOKER_KERNEL_CACHE_BYTES: expected a number of bytes, received '1 GB'"):
        environment.kernel_cache_bytes()


def test_large_files_pass_a_small_limit_by_a_fifth_at_most(folder, monkeypatch):
    monkeypatch.setenv("STOKER_KERNEL_CACHE_BYTES", "100000")
    monkeypatch.setattr(cache, "_written", 1)
    monkeypatch.setattr(cache, "_unseen_bytes", 0)
    most = 0
    for number in range(60):
        cache.write(f"{number}.o", b"x" * 10_000)
        most = max(most, sum(file.stat().st_size for file in folder.iterdir()))
    assert 80_000 < most <= 120_000


CHURN = """
import random, sys
from engine.codegen import cache
cache.LOOK_EVERY = 1
for round in range(150):
    name = f"{random.randrange(40)}.o"
    content = name.encode() * 100
    found = cache.read(name)
    assert found is None or found == content, found
    cache.write(name, content)
"""


def test_processes_write_read_and_trim_beside_each_other(folder):
    environment = {**os.environ, "STOKER_KERNEL_CACHE_BYTES": "5000", "PYTHONPATH": str(Path(__file__).parents[3])}
    beside = [subprocess.Popen([sys.executable, "-c", CHURN], env=environment, stderr=subprocess.PIPE)
              for _ in range(3)]
    assert [process.communicate(timeout=60)[1] for process in beside] == [b""] * 3
    cache.trim(folder, 5000)
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 5000
    assert not list(folder.glob("*.part"))
