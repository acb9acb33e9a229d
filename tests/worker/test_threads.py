"""Threads of a worker: none before the fork, none of the libraries' own after it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from engine.runtime.cores import available_cores
from worker.main import threads_of_a_job

ROOT = Path(__file__).parents[2]


def run(script: str, **environment: str) -> str:
    """What a script prints in a process of its own."""
    given = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}", **environment}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=given, capture_output=True, text=True,
                          timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_worker_that_has_imported_everything_is_one_thread_and_its_fork_computes_with_its_own_only():
    """Numpy's products would start threads of their own in the process that trains."""
    found = run("""
        import os
        import worker.main
        assert "numpy" not in __import__("sys").modules, "numpy is there before its threads are bounded"
        worker.main.bound_libraries()
        from worker.preload import preload
        preload()
        import numpy as np
        def tasks():
            return len(os.listdir("/proc/self/task"))
        print(tasks(), flush=True)
        pid = os.fork()
        if not pid:
            from engine.runtime.stream import Stream
            from engine.runtime.threads import Workers
            x = np.ones((700, 700), np.float32)
            x @ x
            np.linalg.qr(x)
            after_numpy = tasks()
            workers = Workers(2)
            workers.run(Stream([], np.zeros(16, np.int64), 2), 1)
            print(after_numpy, tasks(), flush=True)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        print(tasks(), flush=True)
    """, OPENBLAS_NUM_THREADS="4", OMP_NUM_THREADS="4")
    assert found.split() == ["1", "1", "3", "1"]


@pytest.mark.parametrize("asked, concurrency, expected", [
    (3, 1, 3), (0, 1, available_cores()), (0, 1000, 1), (5, 1000, 5),
])
def test_threads_of_a_job(asked: int, concurrency: int, expected: int):
    assert threads_of_a_job(asked, concurrency) == expected
