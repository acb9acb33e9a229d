"""The native loop that runs a plan: for every step, for every call, chunks taken by whichever thread is free.

    run(stream, control, threads, steps):
        for step in range(steps), while step < LAST:
            for call in stream:
                while chunks of this step are left: take some, entry(args, begin, end), count them as done
                wait until all chunks of this step are done
        (the last call of the stream advances step, cursor and record line, and reads the stop flag)

What is waited for is work, never a thread: a thread whose core was stolen holds up the others only if it has taken a
chunk. Counters grow over the steps and are never reset, so a late thread finds past steps done and skips them. Which
thread takes a chunk never matters for the result.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

import llvmlite.ir as ir
import numpy as np

from engine.codegen import objects
from engine.codegen.builder import I32, I64, POINTER, Code, Index
from engine.codegen.host import host
from engine.kernels import state as run_state
from engine.kernels.call import Call

ENTRY, ARGS, CHUNKS, GRAIN, TAKEN, DONE = (0, 1, 2, 3, 8, 16)
CALL_FIELDS = 24
"""Fields of a call. TAKEN and DONE count chunks over all steps, each on a cache line of its own."""
LAST, STEPS_DONE = 0, 1
"""Fields of the control block: the step before which the run ends, and the steps done."""
SPINS = 4000
"""Rounds of spinning before a waiting thread yields its core, so that a stolen core does not burn the other."""

FLUSH_TO_ZERO = 0x8040
"""The bits of x86's MXCSR for results (FTZ) and for operands (DAZ)."""
LOOK_SECONDS = 2e-5
"""Between two looks whether the helping threads have left."""

Native = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)


class KernelPointer(ir.PointerType):  # type: ignore[misc]  # llvmlite has no types
    """A pointer to a kernel: opaque in the text, but llvmlite learns the signature of the call from it."""

    pointee = ir.FunctionType(ir.VoidType(), [I64] * 3)


class Turn:
    """The helping threads of one run. After `end`, none is in its stream, and none that comes late gets in."""

    def __init__(self) -> None:
        # A plain lock: a signal's handler that raises between a Condition's lock and its block would leave it locked.
        self._lock = Lock()
        self._inside = 0
        self._over = False

    def take(self, work: Callable[[int, int], None], threads: int, steps: int) -> None:
        """A helping thread's part of the run."""
        with self._lock:
            if self._over:
                return
            self._inside += 1
        try:
            work(threads, steps)
        finally:
            with self._lock:
                self._inside -= 1

    def end(self) -> None:
        """Wait for those inside, who leave as soon as all steps are done.

        May be called again, should a signal's handler have raised meanwhile.
        """
        with self._lock:
            self._over = True
        while self._inside:
            time.sleep(LOOK_SECONDS)


class Stream:
    """The calls of one plan at one batch size, in the form the native loop reads.

    Calls know only addresses: `held` is whatever owns the memory there, kept for as long as a thread may run.
    """

    def __init__(self, calls: Sequence[Call], state: np.ndarray[Any, Any], threads: int, held: object = None) -> None:
        self.held = (state, held)
        self._loop = native()
        self.turn = Turn()
        self.control = np.zeros(2, np.int64)
        arguments = np.array([state.ctypes.data, self.control.ctypes.data], np.int64)
        self.calls = (*calls, Call(advance(), arguments, 1, "advance"))
        self.table = np.zeros((len(self.calls), CALL_FIELDS), np.int64)
        for line, call in zip(self.table, self.calls, strict=True):
            line[:4] = (call.entry, call.args.ctypes.data, call.chunks, max(1, call.chunks // (8 * threads)))
        self.header = np.array([self.table.ctypes.data, len(self.table)], np.int64)

    def reset(self, steps: int) -> None:
        """Before a run."""
        self.turn.end()
        self.turn = Turn()
        self.table[:, [TAKEN, DONE]] = 0
        self.control[:] = (steps, 0)

    def run(self, threads: int, steps: int) -> None:
        """One thread's part of a run of `threads`; returns when all steps are done, the interpreter free meanwhile."""
        self._loop(self.header.ctypes.data, self.control.ctypes.data, threads, steps)


@cache
def native() -> Any:
    """The loop, compiled or loaded on first use."""
    return Native(loop())


@objects.compiled
def loop() -> str:
    """The loop's LLVM IR. Its first parameter is the address of the stream's table and number of calls."""
    code = Code("run", host().lanes, parameters=4)
    control = code.ir.inttoptr(code.parameters[1].value, POINTER)
    threads, steps = code.parameters[2:]
    table, count = code.arg(0), code.arg(1)
    many = threads.compare(">", 1)
    with (
        _flushing(code),
        code.loop(0, steps) as step,
        code.when(step.index.compare("<", _load(code, control, LAST))),
        code.loop(0, count) as number,
    ):
        line = code.ir.inttoptr((table + number.index * (8 * CALL_FIELDS)).value, POINTER)
        entry = code.ir.inttoptr(_read(code, line, ENTRY).value, KernelPointer())
        arguments, chunks = _read(code, line, ARGS), _read(code, line, CHUNKS)
        with code.when(threads.compare("==", 1)):
            code.ir.call(entry, [arguments.value, code.index(0).value, chunks.value])
        with code.when(many):
            first = step.index * chunks
            _share(code, line, entry, arguments, first, first + chunks)
            _wait(code, line, first + chunks)
    return code.finish()


@contextmanager
def _flushing(code: Code) -> Iterator[None]:
    """Numbers below float32's normal range (1.2e-38) are 0 meanwhile, as in TensorFlow.

    Some processors take a hundred times as long for them, and the mean of gradients that have become 0 decays into
    that range and stays there.
    """
    if "+sse2" in host().features:
        saved, changed = code.ir.alloca(I32), code.ir.alloca(I32)
        code.call("llvm.x86.sse.stmxcsr", ir.VoidType(), [saved])
        code.ir.store(code.ir.or_(code.ir.load(saved, typ=I32), ir.Constant(I32, FLUSH_TO_ZERO)), changed)
        code.call("llvm.x86.sse.ldmxcsr", ir.VoidType(), [changed])
        yield
        code.call("llvm.x86.sse.ldmxcsr", ir.VoidType(), [saved])
    else:
        yield


@objects.compiled
def advance() -> str:
    """The call that ends a step: the state's counters go on, and a stop asked for makes this step the last."""
    code = Code("advance", host().lanes)
    state, control = code.pointer(0), code.pointer(1)
    for field, amount in (
        (run_state.STEP, 1),
        (run_state.CURSOR, _read(code, state, run_state.BATCH)),
        (run_state.RECORD, 1),
    ):
        _write(code, state, field, _read(code, state, field) + amount)
    done = _read(code, control, STEPS_DONE) + 1
    _write(code, control, STEPS_DONE, done)
    with code.when(_read(code, state, run_state.STOP).compare("!=", 0)):
        code.ir.atomic_rmw("xchg", code.at(control, LAST, "int64"), done.value, "release")
    return code.finish()


def _read(code: Code, base: ir.Value, field: int) -> Index:
    return Index(code, code.ir.load(code.at(base, field, "int64"), typ=I64))


def _load(code: Code, base: ir.Value, field: int) -> Index:
    """What other threads write."""
    return Index(code, code.ir.load_atomic(code.at(base, field, "int64"), "acquire", 8, typ=I64))


def _write(code: Code, base: ir.Value, field: int, value: Index) -> None:
    code.ir.store(value.value, code.at(base, field, "int64"))


def _share(code: Code, line: ir.Value, entry: ir.Value, arguments: Index, first: Index, limit: Index) -> None:
    """Take chunks of this step until none are left."""
    head, attempt, work, done = (
        code.function.append_basic_block(label) for label in ("take", "attempt", "work", "shared")
    )
    grain = _read(code, line, GRAIN)
    code.ir.branch(head)
    code.ir.position_at_end(head)
    begin = _load(code, line, TAKEN)
    code.ir.cbranch(begin.compare("<", limit), attempt, done)
    code.ir.position_at_end(attempt)
    end = (begin + grain).minimum(limit)
    exchanged = code.ir.cmpxchg(code.at(line, TAKEN, "int64"), begin.value, end.value, "acq_rel", "monotonic")
    code.ir.cbranch(code.ir.extract_value(exchanged, 1), work, head)
    code.ir.position_at_end(work)
    code.ir.call(entry, [arguments.value, (begin - first).value, (end - first).value])
    code.ir.atomic_rmw("add", code.at(line, DONE, "int64"), (end - begin).value, "release")
    code.ir.branch(head)
    code.ir.position_at_end(done)


def _wait(code: Code, line: ir.Value, limit: Index) -> None:
    """Until all chunks of this step are done: spin, then yield the core between looks."""
    before = code.ir.block
    look, again, yielding, rest, done = (code.function.append_basic_block(label)
                                         for label in ("look", "again", "yield", "rest", "passed"))
    code.ir.branch(look)
    code.ir.position_at_end(look)
    spins = code.ir.phi(I64)
    spins.add_incoming(ir.Constant(I64, 0), before)
    code.ir.cbranch(_load(code, line, DONE).compare("<", limit), again, done)
    code.ir.position_at_end(again)
    if "+sse2" in host().features:
        code.call("llvm.x86.sse2.pause", ir.VoidType(), [])
    following = Index(code, spins) + 1
    code.ir.cbranch(following.compare(">", SPINS), yielding, rest)
    code.ir.position_at_end(yielding)
    code.call("sched_yield", ir.IntType(32), [])
    code.ir.branch(rest)
    code.ir.position_at_end(rest)
    spins.add_incoming(following.value, rest)
    code.ir.branch(look)
    code.ir.position_at_end(done)
