"""The native loop that runs a plan: for every step, for every call, chunks taken by whichever thread is free.

    run(stream, control, threads, steps):
        for step in range(steps done, steps), while step < LAST:
            for call in stream, while step < LAST:
                while chunks of this step are left: take some, entry(args, begin, end), count them as done
                wait until all chunks of this step are done
        (the last call of the stream advances step, cursor and record line, and reads the stop flag)

What is waited for is work, never a thread: a thread whose core was stolen holds up the others only if it has taken a
chunk. Counters grow over the steps and are never reset, so a late thread finds past steps done and skips them. Which
thread takes a chunk never matters for the result.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import groupby
from typing import Any

import llvmlite.ir as ir
import numpy as np

from engine.codegen import objects
from engine.codegen.builder import I32, POINTER, Code
from engine.codegen.host import host
from engine.kernels import state as run_state
from engine.kernels.call import Call
from engine.runtime.barrier import DONE, TAKEN, KernelPointer, look, read, share, wait, write

ENTRY, ARGS, CHUNKS, GRAIN = range(4)
CALL_FIELDS = 24
"""Fields of a call, with TAKEN and DONE, which count chunks over all steps."""
LAST, STEPS_DONE, FINISH, ASLEEP = 0, 1, 2, 8
"""Fields of the control block: the step before which the run ends, the steps done, whether to end after this step, and
how many threads sleep. LAST = 0 ends the run before the next call."""
CONTROL_FIELDS = 16

FLUSH_TO_ZERO = 0x8040
"""The bits of x86's MXCSR for results (FTZ) and for operands (DAZ)."""

Native = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)


class Stream:
    """The calls of one plan at one batch size, in the form the native loop reads.

    Calls know only addresses: `held` is whatever owns the memory there, kept for as long as a thread may run.
    """

    def __init__(self, calls: Sequence[Call], state: np.ndarray[Any, Any], threads: int, held: object = None) -> None:
        self._loop = native()
        self.control = np.zeros(CONTROL_FIELDS, np.int64)
        arguments = np.array([state.ctypes.data, self.control.ctypes.data], np.int64)
        last = Call(advance(), arguments, 1, "the end of the step")
        single = (*calls, last)
        self.calls = tuple(joined(single))
        self.held = (state, single, held)
        self.widest = max(call.chunks for call in self.calls)
        """More threads than this would only take turns, and move everything from core to core."""
        self.table = np.zeros((len(self.calls), CALL_FIELDS), np.int64)
        for line, call in zip(self.table, self.calls, strict=True):
            line[:4] = (call.entry, call.args.ctypes.data, call.chunks, max(1, call.chunks // (8 * threads)))
        self.header = np.array([self.table.ctypes.data, len(self.table)], np.int64)

    def reset(self, steps: int) -> None:
        """Before a run, when no thread is inside."""
        self.table[:, [TAKEN, DONE]] = 0
        self.control[:] = 0
        self.control[LAST] = steps

    def run(self, threads: int, steps: int) -> None:
        """One thread's part of a run of `threads`; returns when all steps are done, the interpreter free meanwhile."""
        self._loop(self.header.ctypes.data, self.control.ctypes.data, threads, steps)

    def finish(self) -> None:
        """Ask the threads inside to end after the step they are in."""
        self.control[FINISH] = 1

    def leave(self) -> None:
        """Ask the threads inside to end before the next call, in the middle of a step."""
        self.control[LAST] = 0

    def progress(self) -> int:
        """A number that grows with every chunk done."""
        return int(self.table[:, DONE].sum()) + int(self.control[STEPS_DONE])

    def at(self) -> str:
        """The label of the first call that is not done in the step at hand."""
        limits = (self.control[STEPS_DONE] + 1) * self.table[:, CHUNKS]
        return self.calls[int(np.argmax(self.table[:, DONE] < limits))].label


def joined(calls: Sequence[Call]) -> Iterator[Call]:
    """Neighbours that are one chunk each become one call: between them nobody needs to wait."""
    for alone, neighbours in groupby(calls, lambda call: call.chunks == 1):
        found = list(neighbours)
        if alone and len(found) > 1:
            arguments = [len(found)]
            for call in found:
                arguments += [call.entry, call.args.ctypes.data]
            labels = ", ".join(call.label for call in found)
            yield Call(sequence(), np.array(arguments, np.int64), 1, labels,
                       sum(call.flops for call in found))
        else:
            yield from found


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
    asleep = code.at(control, ASLEEP, "int64")
    many = threads.compare(">", 1)
    with (
        _flushing(code),
        code.loop(look(code, control, STEPS_DONE), steps) as step,
        code.when(step.index.compare("<", look(code, control, LAST))),
        code.loop(0, count) as number,
        code.when(step.index.compare("<", look(code, control, LAST))),
    ):
        line = code.ir.inttoptr((table + number.index * (8 * CALL_FIELDS)).value, POINTER)
        entry = code.ir.inttoptr(read(code, line, ENTRY).value, KernelPointer())
        arguments, chunks = read(code, line, ARGS), read(code, line, CHUNKS)
        first = step.index * chunks
        with code.when(threads.compare("==", 1)):
            code.ir.call(entry, [arguments.value, code.index(0).value, chunks.value])
            write(code, line, DONE, first + chunks)
        with code.when(many):
            share(code, line, (entry, arguments), (first, first + chunks), read(code, line, GRAIN), asleep)
            wait(code, line, first + chunks, asleep)
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
        (run_state.CURSOR, read(code, state, run_state.BATCH)),
        (run_state.RECORD, 1),
    ):
        write(code, state, field, read(code, state, field) + amount)
    done = read(code, control, STEPS_DONE) + 1
    write(code, control, STEPS_DONE, done)
    asked = code.ir.or_(read(code, state, run_state.STOP).value, look(code, control, FINISH).value)
    with code.when(code.ir.icmp_signed("!=", asked, code.index(0).value)):
        code.ir.atomic_rmw("xchg", code.at(control, LAST, "int64"), done.value, "release")
    return code.finish()


@objects.compiled
def sequence() -> str:
    """A kernel that calls others one after the other. args: how many, then entry and arguments of each."""
    code = Code("sequence", host().lanes)
    with code.loop(0, code.arg(0)) as place:
        address = code.ir.inttoptr((code.parameters[0] + place.index * 16).value, POINTER)
        entry = code.ir.inttoptr(read(code, address, 1).value, KernelPointer())
        code.ir.call(entry, [read(code, address, 2).value, code.index(0).value, code.index(1).value])
    return code.finish()
