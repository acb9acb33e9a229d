"""The native loop that runs a plan: for every step, for every call, chunks taken by whichever thread is free.

    run(stream, control, state, thread, threads, steps):
        for step in range(steps):
            thread 0 reads the stop flag; barrier
            for call in stream:
                while (chunk := fetch_add(next)) < chunks: entry(args, chunk, chunk + grain)
                barrier; the last to arrive resets `next`
            thread 0 advances step, cursor and record line

Which thread takes a chunk never matters for the result. `stream` holds ENTRY, ARGS, CHUNKS and GRAIN of each call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache

import llvmlite.ir as ir
import numpy as np

from engine.codegen import objects
from engine.codegen.builder import I64, POINTER, Code, Index
from engine.codegen.host import host
from engine.kernels.call import Call
from engine.runtime import state as run_state

ENTRY, ARGS, CHUNKS, GRAIN = range(4)
CALL_FIELDS = 4
NEXT, ARRIVED, EPOCH, GO, STEPS_DONE, AT = range(0, 48, 8)
"""Fields of the control block, each on a cache line of its own. AT: the call that thread 0 is at."""
CONTROL_FIELDS = 48
SPINS = 4000
"""Rounds of spinning before a waiting thread yields its core, so that a stolen core does not burn the other."""

Native = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 6)


class KernelPointer(ir.PointerType):
    """A pointer to a kernel: opaque in the text, but llvmlite learns the signature of the call from it."""

    pointee = ir.FunctionType(ir.VoidType(), [I64] * 3)


class Stream:
    """The calls of one plan at one batch size, in the form the native loop reads."""

    def __init__(self, calls: Sequence[Call], threads: int) -> None:
        self.calls = tuple(calls)
        self.table = np.zeros((len(calls), CALL_FIELDS), np.int64)
        for line, call in zip(self.table, self.calls, strict=True):
            line[:] = (call.entry, call.args.ctypes.data, call.chunks, max(1, call.chunks // (8 * threads)))
        self.control = np.zeros(CONTROL_FIELDS, np.int64)


@cache
def native() -> ctypes._CFunctionType:  # type: ignore[name-defined]
    """The loop, compiled or loaded on first use."""
    return Native(objects.load("run", source()))


def source() -> str:
    """The loop's LLVM IR. The first parameter is the stream with its number of calls in front: see `Runner`."""
    code = Code("run", host().lanes, parameters=6)
    header, control_address, state_address, thread, threads, steps = code.parameters
    table, count = code.arg(0), code.arg(1)
    control, state = (code.ir.inttoptr(address.value, POINTER) for address in (control_address, state_address))

    def field(base: ir.Value, position: int) -> ir.Value:
        return code.at(base, position, "int64")

    def read(base: ir.Value, position: int) -> Index:
        return Index(code, code.ir.load(field(base, position), typ=I64))

    def write(base: ir.Value, position: int, value: Index) -> None:
        code.ir.store(value.value, field(base, position))

    many = threads.compare(">", 1)
    first = thread.compare("==", 0)
    running = code.ir.alloca(I64)
    code.ir.store(ir.Constant(I64, 1), running)
    with code.loop(0, steps):
        with code.when(Index(code, code.ir.load(running, typ=I64)).compare("!=", 0)):
            with code.when(first):
                _publish(code, code.ir.zext(read(state, run_state.STOP).compare("==", 0), I64), field(control, GO), "release")
            with code.when(many):
                _barrier(code, field, control, threads)
            go = Index(code, code.ir.load_atomic(field(control, GO), "acquire", 8, typ=I64))
            code.ir.store(go.value, running)
            with code.when(go.compare("!=", 0)):
                with code.loop(0, count) as number:
                    line = code.ir.inttoptr((table + number.index * (8 * CALL_FIELDS)).value, POINTER)
                    entry = code.ir.inttoptr(read(line, ENTRY).value, KernelPointer())
                    arguments, chunks, grain = read(line, ARGS), read(line, CHUNKS), read(line, GRAIN)
                    with code.when(first):
                        write(control, AT, number.index)
                    with code.when(threads.compare("==", 1)):
                        _call(code, entry, arguments, code.index(0), chunks)
                    with code.when(many):
                        _share(code, field(control, NEXT), entry, arguments, chunks, grain)
                        _barrier(code, field, control, threads)
                with code.when(first):
                    write(state, run_state.STEP, read(state, run_state.STEP) + 1)
                    write(state, run_state.CURSOR, read(state, run_state.CURSOR) + read(state, run_state.BATCH))
                    write(state, run_state.RECORD, read(state, run_state.RECORD) + 1)
                    write(control, STEPS_DONE, read(control, STEPS_DONE) + 1)
    return code.finish()


def _publish(code: Code, value: ir.Value, target: ir.Value, ordering: str) -> None:
    """An atomic store, as an exchange: llvmlite's own store wants a typed pointer."""
    code.ir.atomic_rmw("xchg", target, value, ordering)


def _call(code: Code, entry: ir.Value, arguments: Index, begin: Index, end: Index) -> None:
    code.ir.call(entry, [arguments.value, begin.value, end.value])


def _share(code: Code, following: ir.Value, entry: ir.Value, arguments: Index, chunks: Index, grain: Index) -> None:
    """Take `grain` chunks at a time until none are left."""
    head, body, done = (code.function.append_basic_block(label) for label in ("take", "work", "shared"))
    code.ir.branch(head)
    code.ir.position_at_end(head)
    begin = Index(code, code.ir.atomic_rmw("add", following, grain.value, "monotonic"))
    code.ir.cbranch(begin.compare("<", chunks), body, done)
    code.ir.position_at_end(body)
    _call(code, entry, arguments, begin, (begin + grain).minimum(chunks))
    code.ir.branch(head)
    code.ir.position_at_end(done)


def _barrier(code: Code, field, control: ir.Value, threads: Index) -> None:  # type: ignore[no-untyped-def]
    """All arrive; the last one resets the chunk counter and opens the next epoch; the others spin, then yield."""
    last, wait, again, rest, yielding, done = (code.function.append_basic_block(label)
                                               for label in ("last", "wait", "again", "rest", "yield", "passed"))
    epoch = Index(code, code.ir.load_atomic(field(control, EPOCH), "acquire", 8, typ=I64))
    arrived = Index(code, code.ir.atomic_rmw("add", field(control, ARRIVED), ir.Constant(I64, 1), "acq_rel")) + 1
    before = code.ir.block
    code.ir.cbranch(arrived.compare("==", threads), last, wait)
    code.ir.position_at_end(last)
    _publish(code, ir.Constant(I64, 0), field(control, ARRIVED), "monotonic")
    _publish(code, ir.Constant(I64, 0), field(control, NEXT), "monotonic")
    _publish(code, (epoch + 1).value, field(control, EPOCH), "release")
    code.ir.branch(done)
    code.ir.position_at_end(wait)
    spins = code.ir.phi(I64)
    spins.add_incoming(ir.Constant(I64, 0), before)
    now = Index(code, code.ir.load_atomic(field(control, EPOCH), "acquire", 8, typ=I64))
    code.ir.cbranch(now.compare("==", epoch), again, done)
    code.ir.position_at_end(again)
    if "sse2" in host().features:
        code.call("llvm.x86.sse2.pause", ir.VoidType(), [])
    following = Index(code, spins) + 1
    spins.add_incoming(following.value, rest)
    code.ir.cbranch(following.compare(">", SPINS), yielding, rest)
    code.ir.position_at_end(yielding)
    code.call("sched_yield", ir.IntType(32), [])
    code.ir.branch(rest)
    code.ir.position_at_end(rest)
    code.ir.branch(wait)
    code.ir.position_at_end(done)
