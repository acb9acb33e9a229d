"""One op on arrays, now: its own node lowered and bound once for each (op, types, attributes), then only called.

A bound call knows its buffers by address. Ops are bound to made-up addresses, each buffer in a range of its own: so
what has to be written anew for other buffers is known, all in the calls' arguments that lies in such a range. No
argument else does: sizes are smaller, and the bits of a double, unless it is 0, are larger.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.graph.ir import STATE, Graph, Node, Value
from engine.lowering.algorithm import choose_algorithms
from engine.lowering.request import KernelRequest
from engine.lowering.select import Numerics
from engine.ops.base import Op, ShapeMismatch
from engine.passes.pipeline import optimise
from engine.runtime.cores import available_cores
from engine.types import Type, known, size_bytes

if TYPE_CHECKING:
    from engine.kernels.call import Buffer, Call
    from engine.runtime.stream import Stream
    from engine.runtime.threads import Workers

Array = np.ndarray[Any, Any]

ALIGNMENT = 64
LARGEST = 36
"""Bits of a buffer's length in bytes, at most."""
LOWEST = 1 << 48
"""Of the made-up addresses: beyond any size, and below the bits of any double but 0."""
KEPT = 4096
"""Ops that stay bound."""
SHARED_SECONDS = 2e-4
"""Work beyond which other threads are asked: to wake them takes a tenth of it."""
FLOPS_A_SECOND, BYTES_A_SECOND = 5e10, 1e10
"""About what a core does; only for telling short work from long."""


def empty(shape: tuple[int, ...], dtype: str) -> Array:
    """An array of any content that starts at a multiple of 64 bytes."""
    count = prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(count + ALIGNMENT, np.uint8)
    start = -_address(raw) % ALIGNMENT
    return raw[start: start + count].view(dtype).reshape(shape)


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


class Prepared:
    """An op for inputs of these types: what its outputs are, and how to compute them from arrays."""

    def __init__(self, op: Op, types: Sequence[Type], attrs: Mapping[str, Any], numerics: Numerics) -> None:
        inputs = [Value(type, "input", f"x{place}") for place, type in enumerate(types)]
        # An op that writes, writes into parameters, and one that reads the run's state reads it last.
        if op.effect:
            inputs = [Value(value.type, "parameter", value.name) for value in inputs]
        if op.stateful:
            inputs[-1] = STATE
        made = op.infer(*types, **attrs)
        if any(isinstance(dim, int) and dim < 0 for type in made for dim in type.shape):
            raise ShapeMismatch("attributes that leave sizes of at least 0", " ".join(map(str, made)))
        node = Node(op, tuple(inputs), dict(attrs), tuple(Value(type, "node") for type in made))
        declared = [value for value in inputs if value is not STATE]
        fed, kept = ([value for value in declared if value.role == role] for role in ("input", "parameter"))
        graph = Graph(op.name, tuple(fed), tuple(kept), (node,),
                      {str(place): value for place, value in enumerate(node.outputs)})
        (self.node,) = choose_algorithms(optimise(graph, ()), numerics).nodes
        self.outputs = made
        self.written = tuple(self.node.inputs.index(value) for value in op.written(self.node))
        self.views = dict(op.views)
        self._shapes = [(known(type.shape), type.dtype) for type in made]
        self._requests: list[KernelRequest] = op.lower(self.node)
        self._owners = {value: place for place, value in enumerate((*self.node.inputs, *self.node.outputs))}
        self._scratch: dict[Value, int] = {}
        self._scratch_bytes = 0
        for value in (value for request in self._requests for value in (*request.reads, *request.writes)):
            if value.role == "scratch" and value not in self._scratch:
                self._scratch[value] = self._scratch_bytes
                self._scratch_bytes += -(-size_bytes(value.type, 1) // ALIGNMENT) * ALIGNMENT
        touched = sum(size_bytes(value.type, 1) for value in (*declared, *node.outputs))
        seconds = op.flops(self.node) / FLOPS_A_SECOND + touched / BYTES_A_SECOND
        self._long = seconds > SHARED_SECONDS
        self._idle: list[_Bound] = []

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """The outputs, in memory of their own but for views. The arrays are C-contiguous and of the inputs' types."""
        outputs = [arrays[self.views[place]].reshape(shape) if place in self.views else empty(shape, dtype)
                   for place, (shape, dtype) in enumerate(self._shapes)]
        if self._requests:
            try:
                bound = self._idle.pop()
            except IndexError:
                bound = self._bind()
            addresses = [_address(array) for array in (*arrays, *outputs)]
            bound.run([*addresses, _scratch(self._scratch_bytes)], shared=self._long)
            self._idle.append(bound)
        return outputs

    def _bind(self) -> _Bound:
        from engine.kernels.call import Buffer

        def buffer(value: Value) -> Buffer:
            scratch = value in self._scratch
            owner = len(self._owners) if scratch else self._owners[value]
            return Buffer(_made_up(owner) + self._scratch.get(value, 0), known(value.shape), value.dtype)

        calls: list[Call] = []
        for request in self._requests:
            family = importlib.import_module(f"engine.kernels.{request.family}")
            calls += family.bind(request, [buffer(value) for value in request.reads],
                                 [buffer(value) for value in request.writes])
        return _Bound(calls)


def _made_up(owner: int) -> int:
    """The middle of a range: what is before a buffer's beginning is in it, too."""
    return LOWEST + (owner << (LARGEST + 1)) + (1 << LARGEST)


class _Bound:
    """Calls whose arguments stand one behind the other in one array."""

    def __init__(self, calls: Sequence[Call]) -> None:
        from engine.kernels import state as run_state
        from engine.runtime.stream import Stream

        ends = list(accumulate(len(call.args) for call in calls))
        block: Any = np.concatenate([call.args for call in calls])
        starts = [0, *ends[:-1]]
        moved = [replace(call, args=block[start:end]) for call, start, end in zip(calls, starts, ends, strict=True)]
        self._counters = np.zeros(run_state.FIELDS, np.int64)
        self._stream: Stream = Stream(moved, self._counters, 1, block)
        self._arguments = memoryview(block)
        self._places: list[tuple[int, int, int]] = []
        for place in np.flatnonzero((block >= LOWEST) & (block < 1 << 52)).tolist():
            owner = (int(block[place]) - LOWEST) >> (LARGEST + 1)
            self._places.append((place, owner, int(block[place]) - _made_up(owner)))

    def run(self, addresses: Sequence[int], *, shared: bool) -> None:
        """On these buffers; with other threads' help if they are free."""
        arguments = self._arguments
        for place, owner, offset in self._places:
            arguments[place] = addresses[owner] + offset
        stream = self._stream
        if shared and stream.widest > 1 and _team.run(stream):
            return
        stream.reset(1)
        stream.run(1, 1)


class _Team:
    """The threads that help with long work, of one caller at a time."""

    def __init__(self) -> None:
        self.threads = 0
        self._workers: Workers | None = None
        self._lock = threading.Lock()

    def run(self, stream: Stream) -> bool:
        """False where there is nobody to help."""
        threads = self.threads or available_cores()
        if threads < 2 or not self._lock.acquire(blocking=False):
            return False
        try:
            if self._workers is None or self._workers.threads != threads:
                from engine.runtime.threads import Workers

                self._workers = Workers(threads)
            self._workers.run(stream, 1)
        finally:
            self._lock.release()
        return True

    def forget(self) -> None:
        """In a forked process, where these threads do not exist."""
        self._workers, self._lock = None, threading.Lock()


_team = _Team()
os.register_at_fork(after_in_child=_team.forget)


def use_threads(threads: int) -> None:
    """How many threads work on a long op: 0 for as many as there are cores. The results do not depend on it."""
    if threads < 0:
        raise ValueError(f"expected a number of threads of at least 0, received {threads}")
    _team.threads = threads


_mine = threading.local()


def _scratch(count: int) -> int:
    """The address of memory for one op's own use, this thread's: ops come one after the other."""
    if not count:
        return 0
    held = getattr(_mine, "scratch", None)
    if held is None or held.nbytes < count:
        held = _mine.scratch = empty((count,), "uint8")
    return _address(held)


@dataclass(frozen=True)
class Cached:
    """What the cache of prepared ops holds."""

    ops: int
    hits: int
    misses: int


_prepared: OrderedDict[tuple[str, str, tuple[Type, ...], Numerics], Prepared] = OrderedDict()
_lock = threading.Lock()
_counts = {"hits": 0, "misses": 0}


def prepared(op: Op, types: tuple[Type, ...], attrs: Mapping[str, Any], numerics: Numerics) -> Prepared:
    """The op for these types and attributes, from the cache or made now. Raises ShapeMismatch."""
    # Attributes by how they are written: 0.0 and -0.0 are equal, and make other code.
    key = (op.name, written(attrs) if attrs else "", types, numerics)
    with _lock:
        found = _prepared.get(key)
        if found is not None:
            _prepared.move_to_end(key)
            _counts["hits"] += 1
            return found
        _counts["misses"] += 1
    made = Prepared(op, types, attrs, numerics)
    with _lock:
        _prepared[key] = made
        while len(_prepared) > KEPT:
            _prepared.popitem(last=False)
    return made


def written(attrs: Mapping[str, Any]) -> str:
    """Attributes as text that says all about them."""
    return repr([(name, value.tobytes() if isinstance(value, np.ndarray) else value)
                 for name, value in sorted(attrs.items())])


def cached() -> Cached:
    """How often an op was found prepared, and how often not."""
    with _lock:
        return Cached(len(_prepared), _counts["hits"], _counts["misses"])
