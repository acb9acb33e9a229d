"""The supervisor with small real processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stokerd.child import Child
from stokerd.processes import Identity
from stokerd.supervisor import Supervisor

SLEEP = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
SLOW_TO_END = """
import signal, sys, time
signal.signal(15, lambda *_: (print(time.monotonic(), flush=True), time.sleep(0.3), sys.exit(0)))
print("up", flush=True)
while True:
    time.sleep(1)
"""
FAMILY = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"


class Case:
    def __init__(self, logs: Path) -> None:
        self.said: list[str] = []
        self.recorded: list[dict[str, Identity]] = []
        self.logs = logs
        self.supervisor = Supervisor(changed=lambda now: self.recorded.append(dict(now)), say=self.said.append)

    def start(self, name: str, code: str) -> Child:
        child = Child(name, [sys.executable, "-c", code], environment=dict(os.environ), logs=self.logs)
        self.supervisor.start(child)
        return child

    def until(self, condition: Callable[[], object], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (self.said, self.recorded)
            self.supervisor.tick(0.05)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)}
    case = Case(tmp_path)
    case.supervisor.install_signals()
    yield case
    for child in case.supervisor.children:
        child.kill()
    case.supervisor.drain([])
    case.supervisor.close()
    for number, handler in before.items():
        signal.signal(number, handler)


def pid_of(child: Child) -> int:
    assert child.process is not None
    return child.process.pid


def test_what_dies_is_started_again_and_recorded(case):
    child = case.start("api", SLEEP)
    first = pid_of(child)
    assert case.recorded[-1]["api"].pid == first
    os.kill(first, signal.SIGKILL)
    case.until(lambda: child.restarts == 1)
    assert pid_of(child) != first
    assert {} in case.recorded
    assert case.recorded[-1]["api"].pid == pid_of(child)
    assert case.said[0].startswith("api died (SIGKILL); see ")


def test_the_pause_grows_for_what_cannot_stay_up(case):
    child = case.start("api", "print('hello', flush=True)")
    begun = time.monotonic()
    case.until(lambda: child.restarts == 3)
    assert time.monotonic() - begun >= 0.25 + 0.5 + 1.0
    assert (case.logs / "api.log").read_text().count("hello") >= 3


def test_a_drain_goes_stage_by_stage(case):
    first, second = (case.start(name, SLOW_TO_END) for name in ("api", "relay"))
    logs = [case.logs / "api.log", case.logs / "relay.log"]
    case.until(lambda: all("up" in log.read_text() for log in logs))
    os.kill(os.getpid(), signal.SIGTERM)
    case.supervisor.tick()
    assert case.supervisor.stop_requests == 1
    case.supervisor.drain([([first], 5.0), ([second], 5.0)])
    told = [float(log.read_text().split()[1]) for log in logs]
    assert told[1] - told[0] >= 0.3
    assert not first.running
    assert not second.running
    assert case.recorded[-1] == {}


def test_who_does_not_end_in_time_is_killed_with_all_it_started(case):
    deaf, family = case.start("deaf", STUBBORN), case.start("family", FAMILY)
    case.until(lambda: all((case.logs / f"{name}.log").read_text() for name in ("deaf", "family")))
    begun = time.monotonic()
    case.supervisor.drain([([deaf, family], 0.5)])
    assert 0.5 <= time.monotonic() - begun < 3
    assert "deaf did not end in time: killed" in case.said
    grandchild = int((case.logs / "family.log").read_text())
    with pytest.raises(ProcessLookupError):
        while True:
            os.kill(grandchild, 0)
            state = Path(f"/proc/{grandchild}/stat")
            if state.exists() and ") Z " in state.read_text():
                raise ProcessLookupError
            assert time.monotonic() - begun < 5
            time.sleep(0.05)


def test_a_second_request_hurries(case, monkeypatch):
    monkeypatch.setattr("stokerd.supervisor.LAST_GRACE_SECONDS", 0.5)
    deaf = case.start("deaf", STUBBORN)
    case.until(lambda: (case.logs / "deaf.log").read_text())
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    begun = time.monotonic()
    case.supervisor.drain([([deaf], 60.0)])
    assert time.monotonic() - begun < 5
    assert any(line.startswith("hurrying") for line in case.said)


def test_children_die_with_a_supervisor_that_is_killed(tmp_path):
    code = (
        "import os, sys, time; from pathlib import Path; from stokerd.child import Child\n"
        "child = Child('api', ['sleep', '60'], environment=dict(os.environ), logs=Path(sys.argv[1])); child.start()\n"
        "print(child.process.pid, flush=True); time.sleep(60)"
    )
    reader, writer = os.pipe()
    supervisor = os.fork()
    if supervisor == 0:
        os.dup2(writer, 1)
        os.execv(sys.executable, [sys.executable, "-c", code, str(tmp_path)])
    os.close(writer)
    with os.fdopen(reader) as answers:
        pid = int(answers.readline())
    os.kill(supervisor, signal.SIGKILL)
    os.waitpid(supervisor, 0)
    deadline = time.monotonic() + 5
    status = Path(f"/proc/{pid}/stat")
    while status.exists() and ") Z " not in status.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_record_that_cannot_be_written_takes_nothing_down(tmp_path, case):
    def full_disk(children: object) -> None:
        raise OSError(28, "No space left on device")

    case.start("first", SLEEP)
    case.supervisor._changed = full_disk
    child = case.start("second", SLEEP)
    child.kill()
    case.until(lambda: child.restarts == 1)
    assert "what runs could not be written down: No space left on device" in case.said
