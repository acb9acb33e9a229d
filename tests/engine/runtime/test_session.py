"""Sessions: stops, smaller batches, more threads than cores, and forks."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from engine.codegen.host import host
from engine.errors import CompileError
from engine.graph.ir import GraphBuilder
from engine.kernels import state as run_state
from engine.lowering.plan import Plan, compile_plan
from engine.ops.pipeline import table
from engine.runtime.session import Session, aligned
from engine.runtime.threads import Workers
from engine.types import Batch, Type


def counting_plan(width: int = 8) -> Plan:
    """Adds the sum of each gathered row to a parameter, and records the batch's mean."""
    b = GraphBuilder("count")
    total = b.parameter("total", Type((width,)))
    rows = b.op("gather", table("rows", (width,), "float32"))
    b.apply("assign", total, b.op("add", total, b.op("reduce_sum", rows, axes=(0,))))
    b.apply("record", b.op("reduce_mean", rows, axes=(0,)), offset=0, width=width)
    return compile_plan(b.finish(), 4)


class Counted:
    """A session of the counting plan over 1000 rows in order."""

    def __init__(self, threads: int = 1, width: int = 8) -> None:
        self.rows = np.arange(1000 * width, dtype=np.float32).reshape(1000, width) / width
        self.total = aligned((width,), "float32")
        self.records = np.zeros((1000, width), np.float32)
        self.order = np.arange(1000)
        self.workers = Workers(threads)
        self.session = Session(counting_plan(width), {"total": self.total}, {"rows": self.rows}, self.workers)
        self.state = self.session.state
        self.state[run_state.ORDER] = self.order.ctypes.data
        self.state[run_state.RECORDS] = self.records.ctypes.data


def test_many_steps_in_one_call():
    counted = Counted()
    assert counted.session.run(4, 100) == 100
    np.testing.assert_allclose(counted.total, counted.rows[:400].sum(0), rtol=1e-5)
    np.testing.assert_allclose(counted.records[:100], counted.rows[:400].reshape(100, 4, 8).mean(1), rtol=1e-6)
    assert counted.state[run_state.STEP] == counted.state[run_state.RECORD] == 100
    assert counted.state[run_state.CURSOR] == 400


def test_a_smaller_last_batch_counts_its_own_examples():
    counted = Counted()
    counted.session.run(4, 2)
    counted.session.run(3)
    np.testing.assert_allclose(counted.records[2], counted.rows[8:11].mean(0), rtol=1e-6)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_stop_ends_the_run_after_the_step(threads: int):
    counted = Counted(threads)
    counted.state[run_state.STOP] = 1
    assert counted.session.run(4, 100) == 1
    counted.state[run_state.STOP] = 0
    assert counted.session.run(4, 5) == 5
    assert counted.state[run_state.STEP] == 6


def test_more_threads_than_cores_come_to_the_same_bits():
    totals = []
    for threads in (1, 2, 4, 4 * (os.cpu_count() or 1)):
        counted = Counted(threads, width=700)
        counted.session.run(4, 200)
        totals.append(counted.total.tobytes())
        counted.workers.close()
    assert len(set(totals)) == 1


def test_a_late_thread_does_not_repeat_work():
    counted = Counted(8, width=64)
    for _ in range(200):
        counted.session.run(1, 5)
    np.testing.assert_allclose(counted.total, counted.rows.sum(0), rtol=1e-4)


def test_a_table_of_another_type_is_refused():
    plan = counting_plan()
    session = Session(plan, {"total": aligned((8,), "float32")}, {"rows": np.zeros((10, 8))}, Workers(1))
    with pytest.raises(CompileError, match="expected dtype float32, received float64"):
        session.run(1)


def test_tables_must_be_contiguous():
    with pytest.raises(CompileError, match="C-contiguous"):
        Session(counting_plan(), {}, {"rows": np.zeros((10, 16), np.float32)[:, ::2]}, Workers(1))


def test_the_interpreter_is_free_while_a_plan_runs():
    b = GraphBuilder("slow")
    x = b.parameter("x", Type((512, 512)))
    y = x
    for _ in range(8):
        y = b.op("matmul", y, x)
    session = Session(compile_plan(b.finish(y=y), 1), {"x": aligned((512, 512), "float32")}, {}, Workers(1))
    session.run(1)
    ticks = []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(session.run, 1, 40)
        while not running.done():
            ticks.append(time.monotonic())
            time.sleep(0.001)
    assert len(ticks) > 5


def test_training_works_in_a_forked_child_of_a_process_that_only_imported():
    script = textwrap.dedent("""
        import os, sys
        import engine.fit, engine.kernels.contract, engine.kernels.optimize
        for _ in range(2):
            child = os.fork()
            if child == 0:
                import numpy as np
                from engine.graph.ir import GraphBuilder
                from engine.lowering.plan import compile_plan
                from engine.runtime.session import Session, aligned
                from engine.runtime.threads import Workers
                from engine.types import Type
                b = GraphBuilder("g")
                x = b.parameter("x", Type((64, 64)))
                array = aligned((64, 64), "float32"); array[...] = np.eye(64)
                session = Session(compile_plan(b.finish(y=b.op("matmul", x, x)), 1), {"x": array}, {}, Workers(2))
                session.run(1)
                os._exit(0 if (session.fetch("y", 1) == np.eye(64)).all() else 3)
            _, status = os.waitpid(child, 0)
            assert status == 0, status
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr


def test_batch_dimension_of_a_fetch():
    b = GraphBuilder("g")
    y = b.op("exp", b.input("x", Type((Batch(), 3))))
    session = Session(compile_plan(b.finish(y=y), 9), {}, {}, Workers(1))
    session.run(2)
    assert session.fetch("y", 2).shape == (2, 3)


@pytest.mark.parametrize("threads", [1, 2])
def test_numbers_below_the_normal_range_are_zero_in_plans_and_nowhere_else(threads: int):
    if "+sse2" not in host().features:
        pytest.skip("only x86 processors are told so")
    b = GraphBuilder("tiny")
    y = b.op("scale", b.parameter("x", Type((20_000,))), factor=1e-30)
    workers = Workers(threads)
    array = aligned((20_000,), "float32")
    array[...] = np.linspace(1e-7, 1e-9, 20_000)
    session = Session(compile_plan(b.finish(y=y), 1), {"x": array}, {}, workers)
    session.run(1)
    smallest = np.finfo(np.float32).tiny
    expected = np.where(array * np.float32(1e-30) < smallest, 0, array * np.float32(1e-30))
    assert 0 < np.count_nonzero(expected) < 20_000
    np.testing.assert_array_equal(session.fetch("y", 1), expected)
    assert np.float32(1e-20) * np.float32(1e-20) > 0
    workers.close()
