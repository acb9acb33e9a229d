"""Sharing a call's chunks between threads, and waiting until all of them are done, as LLVM IR.

A line of the stream's table has two counters, TAKEN and DONE, which grow over the steps. Who waits spins for some
microseconds, then sleeps until the thread that brings DONE to the limit wakes it: a core that was given to somebody
else does not keep another one busy. Threads asleep are counted, so that nobody makes a system call for nobody.
"""

from __future__ import annotations

import platform
import sys

import llvmlite.ir as ir

from engine.codegen.builder import I32, I64, Code, Index
from engine.codegen.host import host

TAKEN, DONE = 8, 16
"""Fields of a line, each on a cache line of its own."""
SPINS = 4000
"""Looks before a waiting thread goes to sleep, 25 ns each here: about as long as it takes to be woken."""

FUTEX = {"x86_64": 202, "aarch64": 98, "riscv64": 98}
"""Number of the system call on Linux, whose counters are the lower halves of ours: all of these are little-endian."""
WAIT, WAKE = 128, 129
"""Operations on memory that only this process sees (futex(2))."""
EVERYBODY = 2**31 - 1
NAP_MICROSECONDS = 50
"""Where there is no futex, a waiting thread looks again after so long."""


class KernelPointer(ir.PointerType):  # type: ignore[misc]  # llvmlite has no types
    """A pointer to a kernel: opaque in the text, but llvmlite learns the signature of the call from it."""

    pointee = ir.FunctionType(ir.VoidType(), [I64] * 3)


def read(code: Code, base: ir.Value, field: int) -> Index:
    """A field that nobody writes meanwhile."""
    return Index(code, code.ir.load(code.at(base, field, "int64"), typ=I64))


def look(code: Code, base: ir.Value, field: int) -> Index:
    """A field that other threads write."""
    return Index(code, code.ir.load_atomic(code.at(base, field, "int64"), "seq_cst", 8, typ=I64))


def write(code: Code, base: ir.Value, field: int, value: Index) -> None:
    """A field that only this thread writes."""
    code.ir.store(value.value, code.at(base, field, "int64"))


def add(code: Code, base: ir.Value, field: int, amount: int | Index) -> Index:
    """Add to a field that other threads write too; what it was before."""
    value = code.index(amount).value
    return Index(code, code.ir.atomic_rmw("add", code.at(base, field, "int64"), value, "seq_cst"))


def share(code: Code, line: ir.Value, kernel: tuple[ir.Value, Index], span: tuple[Index, Index], grain: Index,
          asleep: ir.Value) -> None:
    """Take up to `grain` of the chunks `span` at a time until none are left, and do them with `kernel`.

    `kernel` is an entry and its arguments, `asleep` the address of the number of sleeping threads.
    """
    (entry, arguments), (first, limit) = kernel, span
    head, attempt, work, done = (
        code.function.append_basic_block(label) for label in ("take", "attempt", "work", "shared")
    )
    code.ir.branch(head)
    code.ir.position_at_end(head)
    begin = look(code, line, TAKEN)
    code.ir.cbranch(begin.compare("<", limit), attempt, done)
    code.ir.position_at_end(attempt)
    end = (begin + grain).minimum(limit)
    exchanged = code.ir.cmpxchg(code.at(line, TAKEN, "int64"), begin.value, end.value, "acq_rel", "monotonic")
    code.ir.cbranch(code.ir.extract_value(exchanged, 1), work, head)
    code.ir.position_at_end(work)
    code.ir.call(entry, [arguments.value, (begin - first).value, (end - first).value])
    now = add(code, line, DONE, end - begin) + (end - begin)
    with code.when(now.compare("==", limit)), code.when(look(code, asleep, 0).compare("!=", 0)):
        _wake(code, line)
    code.ir.branch(head)
    code.ir.position_at_end(done)


def wait(code: Code, line: ir.Value, limit: Index, asleep: ir.Value) -> None:
    """Until DONE has come to `limit`."""
    before = code.ir.block
    looking, again, tired, rest, done = (code.function.append_basic_block(label)
                                         for label in ("look", "again", "tired", "rest", "passed"))
    code.ir.branch(looking)
    code.ir.position_at_end(looking)
    spins = code.ir.phi(I64)
    spins.add_incoming(ir.Constant(I64, 0), before)
    code.ir.cbranch(look(code, line, DONE).compare("<", limit), again, done)
    code.ir.position_at_end(again)
    if "+sse2" in host().features:
        code.call("llvm.x86.sse2.pause", ir.VoidType(), [])
    following = Index(code, spins) + 1
    code.ir.cbranch(following.compare(">", SPINS), tired, rest)
    code.ir.position_at_end(tired)
    # First counted, then looked at once more: whoever ends the last chunk after that look finds the count.
    add(code, asleep, 0, 1)
    seen = look(code, line, DONE)
    with code.when(seen.compare("<", limit)):
        _sleep(code, line, seen)
    add(code, asleep, 0, -1)
    code.ir.branch(rest)
    code.ir.position_at_end(rest)
    spins.add_incoming(following.value, rest)
    code.ir.branch(looking)
    code.ir.position_at_end(done)


def _sleep(code: Code, line: ir.Value, seen: Index) -> None:
    """Sleep until woken, or not at all if DONE is no longer `seen`."""
    if _futex() is None:
        code.call("usleep", I32, [ir.Constant(I32, NAP_MICROSECONDS)])
    else:
        _system(code, line, WAIT, code.ir.and_(seen.value, ir.Constant(I64, 2**32 - 1)))


def _wake(code: Code, line: ir.Value) -> None:
    if _futex() is not None:
        _system(code, line, WAKE, ir.Constant(I64, EVERYBODY))


def _futex() -> int | None:
    return FUTEX.get(platform.machine()) if sys.platform == "linux" else None


def _system(code: Code, line: ir.Value, operation: int, value: ir.Value) -> None:
    name, kind = "syscall", ir.FunctionType(I64, [I64], var_arg=True)
    function = code.module.globals.get(name) or ir.Function(code.module, kind, name)
    address = code.ir.ptrtoint(code.at(line, DONE, "int64"), I64)
    numbers = [ir.Constant(I64, number) for number in (_futex(), operation, 0)]
    code.ir.call(function, [numbers[0], address, numbers[1], value, numbers[2], numbers[2], numbers[2]])
