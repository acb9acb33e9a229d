from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from stokerd import processes
from stokerd.processes import Identity, identify

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]


def start(command: list[str]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, process_group=0)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.stdout.close()
    return process


def test_a_process_is_itself_until_it_dies():
    process = start(SLEEP)
    identity = identify(process.pid)
    assert identity is not None
    assert identity.alive()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not identity.alive()  # a zombie is dead
    process.wait()
    assert not identity.alive()
    assert identify(process.pid) is None


def test_another_process_with_the_same_pid_is_never_signalled():
    process = start(SLEEP)
    try:
        other = Identity(process.pid, "another start")
        assert not other.alive()
        other.end(0.0)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("command", "by"), [(SLEEP, signal.SIGTERM), (STUBBORN, signal.SIGKILL)])
def test_ending_asks_first(command, by):
    process = start(command)
    identity = identify(process.pid)
    assert identity is not None
    identity.end(0.5)
    assert process.wait(5) == -by


def test_where_there_is_no_proc_ps_tells(monkeypatch, tmp_path):
    own = identify(os.getpid())
    monkeypatch.setattr(processes, "PROC", tmp_path)
    if not any(os.access(os.path.join(folder, "ps"), os.X_OK) for folder in os.environ["PATH"].split(os.pathsep)):
        pytest.skip("this machine has no ps")
    identity = identify(os.getpid())
    assert identity is not None
    assert identity.alive()
    assert identity != own
