"""The native loop over kernels that are Python functions: who waits, who leaves, who is named."""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from engine.errors import HungError
from engine.kernels import state as run_state
from engine.kernels.call import Call
from engine.runtime.stream import Stream, joined
from engine.runtime.threads import Left, Workers

Kernel = Callable[[int, int, int], None]
Native = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)


class Calls:
    """Calls of Python functions, which are kept as long as this is."""

    def __init__(self) -> None:
        self.kernels: list[object] = []
        self.made: list[Call] = []

    def add(self, label: str, chunks: int, kernel: Kernel) -> None:
        """One more call."""
        native = Native(kernel)
        self.kernels.append(native)
        entry = ctypes.cast(native, ctypes.c_void_p).value
        assert entry is not None
        self.made.append(Call(entry, np.array([len(self.made)], np.int64), chunks, label))

    def stream(self, threads: int) -> Stream:
        """All of them."""
        return Stream(self.made, np.zeros(run_state.FIELDS, np.int64), threads, self.kernels)


@pytest.fixture(params=[1, 2, 3])
def workers(request: pytest.FixtureRequest) -> Iterator[Workers]:
    """Of one to three threads."""
    workers = Workers(request.param)
    yield workers
    workers.close()


def test_every_chunk_is_done_once_and_calls_follow_each_other(workers: Workers):
    calls = Calls()
    log: list[tuple[int, int]] = []
    for place, chunks in enumerate((1, 1, 5, 40, 1, 2, 1, 1, 1)):
        def kernel(args: int, begin: int, end: int, place: int = place) -> None:
            log.extend((place, chunk) for chunk in range(begin, end))
        calls.add(f"call {place}", chunks, kernel)
    assert workers.run(calls.stream(workers.threads), 3) == 3
    step = [(place, chunk) for place, chunks in enumerate((1, 1, 5, 40, 1, 2, 1, 1, 1)) for chunk in range(chunks)]
    assert [place for place, _ in log] == 3 * [place for place, _ in step]
    assert sorted(log) == sorted(3 * step)


def test_neighbours_of_one_chunk_are_one_call():
    calls = Calls()
    for label, chunks in (("a", 1), ("b", 1), ("c", 2), ("d", 1), ("e", 3), ("f", 1)):
        calls.add(label, chunks, lambda args, begin, end: None)
    assert [call.label for call in joined(calls.made)] == ["a, b", "c", "d", "e", "f"]
    assert [call.label for call in calls.stream(2).calls] == ["a, b", "c", "d", "e", "f, the end of the step"]


def test_a_thread_that_waits_long_sleeps_and_is_woken():
    """Two of three threads wait for the third: they would burn its time twice over."""
    calls, workers = Calls(), Workers(3)
    calls.add("long", 3, lambda args, begin, end: time.sleep(0.4) if begin == 0 else None)
    calls.add("after", 3, lambda args, begin, end: None)
    stream = calls.stream(3)
    workers.run(stream, 1)
    began, burnt = time.monotonic(), time.process_time()
    assert workers.run(stream, 3) == 3
    assert time.process_time() - burnt < 0.5 * (time.monotonic() - began)
    workers.close()


def test_many_short_waits_lose_no_wake_up():
    """Waits of all lengths around the moment at which a thread goes to sleep."""
    calls, workers = Calls(), Workers(3)
    pauses = np.random.default_rng(0).exponential(3e-5, 3000)
    turn = iter(range(len(pauses)))
    for place in range(5):
        calls.add(f"{place}", 3, lambda args, begin, end: time.sleep(float(pauses[next(turn, 0)])))
    assert workers.run(calls.stream(3), 200) == 200
    workers.close()


def test_a_call_that_does_not_end_is_named(workers: Workers):
    stuck, workers = threading.Event(), Workers(workers.threads, hung_seconds=0.5)
    calls = Calls()
    calls.add("conv_1:forward", 4, lambda args, begin, end: None)
    calls.add("conv_2:forward", 4, lambda args, begin, end: None if begin else (stuck.wait(), None)[1])
    calls.add("conv_3:forward", 4, lambda args, begin, end: None)
    with pytest.raises(HungError, match=r"for 0\.5 s in conv_2:forward$"):
        workers.run(calls.stream(workers.threads), 2)
    with pytest.raises(HungError, match="still wait"):
        workers.run(calls.stream(workers.threads), 2)
    workers.close()
    stuck.set()


@pytest.mark.parametrize("by", ["leave", "signal"])
def test_a_run_that_is_left_in_a_call_that_does_not_end_is_given_up(by: str):
    stuck, entered, workers = threading.Event(), threading.Event(), Workers(2, hung_seconds=0.5)
    calls = Calls()

    def endless(args: int, begin: int, end: int) -> None:
        entered.set()
        stuck.wait(30)

    calls.add("stuck", 2, endless)

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    def interrupt_soon() -> None:
        entered.wait(10)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        if by == "signal":
            threading.Thread(target=interrupt_soon).start()
        with pytest.raises(HungError, match=r"in stuck$") as raised:
            workers.run(calls.stream(2), 1, entered.is_set if by == "leave" else None)
        assert isinstance(raised.value.__context__, Left if by == "leave" else KeyboardInterrupt)
        assert not stuck.is_set()
    finally:
        stuck.set()
        signal.signal(signal.SIGUSR1, before)
        workers.close()


def test_slow_work_is_not_taken_for_a_hang():
    calls, workers = Calls(), Workers(2, hung_seconds=0.5)
    calls.add("slow", 8, lambda args, begin, end: time.sleep(0.2 * (end - begin)))
    assert workers.run(calls.stream(2), 1) == 1
    workers.close()


def test_a_run_may_be_left_in_the_middle_of_a_step(workers: Workers):
    calls, asked = Calls(), threading.Event()
    done: list[str] = []
    calls.add("first", 4, lambda args, begin, end: done.append("first"))

    def slow(args: int, begin: int, end: int) -> None:
        asked.wait(10)
        time.sleep(0.05)

    calls.add("slow", 2, slow)
    calls.add("never", 4, lambda args, begin, end: done.append("never"))

    def leave() -> bool:
        asked.set()
        return True

    with pytest.raises(Left):
        workers.run(calls.stream(workers.threads), 1000, leave)
    assert set(done) == {"first"}
    assert len(done) == (1 if workers.threads == 1 else 4)


def test_the_asking_thread_hears_signals_while_a_call_is_long():
    heard: list[float] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(time.monotonic()))
    calls, workers = Calls(), Workers(2)
    ended: list[float] = []

    def kernel(args: int, begin: int, end: int) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        time.sleep(0.5)
        ended.append(time.monotonic())

    calls.add("long", 1, kernel)
    try:
        workers.run(calls.stream(2), 1)
    finally:
        signal.signal(signal.SIGUSR1, before)
        workers.close()
    assert heard[0] < ended[0]


def test_no_thread_is_there_before_the_first_run_and_none_after_the_end():
    before = threading.active_count()
    workers, calls = Workers(3), Calls()
    assert threading.active_count() == before
    calls.add("nothing", 3, lambda args, begin, end: None)
    workers.run(calls.stream(3), 1)
    assert threading.active_count() == before + 3
    workers.close()
    assert threading.active_count() == before
