"""Native code knows addresses only: what they point at must live as long as a session may run."""

from __future__ import annotations

import gc
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from engine.graph.ir import GraphBuilder
from engine.kernels import state as run_state
from engine.lowering.plan import compile_plan
from engine.ops.pipeline import table
from engine.programs import Field, Program
from engine.runner import Runner
from engine.runtime.session import Session, aligned
from engine.runtime.threads import Workers
from engine.types import Type


def summing(width: int) -> Program:
    """Adds a constant and each batch's sum to a parameter, and records it."""
    b = GraphBuilder("sum")
    total = b.parameter("total", Type((width,)))
    rows = b.op("gather", table("rows", (width,), "float32"))
    new = b.op("add", b.op("add", total, b.op("reduce_sum", rows, axes=(0,))), b.constant(np.ones(width)))
    b.apply("assign", total, new)
    b.apply("record", new, offset=0, width=width)
    return Program(b.finish(), (), {}, (Field("total", 0, width),))


def test_a_runner_holds_all_that_its_plan_reads(tmp_path: Path):
    """Its caller forgets tables (one of them memory-mapped), weights, order and rates; others take their place."""
    width = 4096
    np.save(tmp_path / "rows.npy", np.arange(40.0 * width, dtype="float32").reshape(40, width) / 1000)
    expected = np.load(tmp_path / "rows.npy").astype("float64")

    def made(rows: np.ndarray) -> Runner:
        return Runner(summing(width), 4, {"total": aligned((width,), "float32")}, {"rows": rows}, Workers(2))

    for rows in (np.load(tmp_path / "rows.npy", mmap_mode="r"), np.load(tmp_path / "rows.npy")):
        runner = made(rows)
        del rows
        runner.begin(np.arange(40)[::-1])
        while runner.done < runner.batches:
            gc.collect()
            rubbish: list[Any] = [np.full(size, 7.0, "float32") for size in (width, 40, 40 * width, 64)]
            runner.advance(3)
            del rubbish
        total = runner.session.parameters["total"]
        np.testing.assert_allclose(total, expected.sum(0) + 10, rtol=1e-5)
        runner.session.workers.close()


class Late(Exception):
    """Raised by a signal's handler."""


def test_a_handler_that_raises_leaves_no_thread_in_the_stream():
    """Whenever it comes, the session can run again, and every step was done once."""
    width, rows = 64, np.ones((20_000, 64), "float32")
    workers = Workers(4)
    store = {"total": aligned((width,), "float32")}
    session = Session(compile_plan(summing(width).graph, 1), store, {"rows": rows}, workers)
    order, records = np.arange(20_000), np.zeros((20_000, width), np.float32)
    session.state[run_state.ORDER], session.state[run_state.RECORDS] = order.ctypes.data, records.ctypes.data

    armed = False

    def handler(number: int, frame: Any) -> None:
        if armed:
            raise Late

    def run() -> bool:
        nonlocal armed
        try:
            armed = True
            session.run(1, 200)
        except Late:
            return True
        finally:
            armed = False
        return False

    run()
    started = time.monotonic()
    run()
    usual = time.monotonic() - started
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        caught = 0
        for attempt in range(60):
            arguments = (threading.get_ident(), signal.SIGUSR1)
            timer = threading.Timer(usual * (attempt + 1) / 50, signal.pthread_kill, arguments)
            timer.start()
            caught += run()
            timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    steps = int(session.state[run_state.STEP])
    assert caught > 0
    assert steps > 400
    assert store["total"].tolist() == [2.0 * steps] * width
    workers.close()
