"""A session binds a plan to arrays and runs it: feed any table, fetch any output, many steps in one native call."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod

import numpy as np

from engine.errors import CompileError
from engine.graph.ir import Value
from engine.kernels import state as run_state
from engine.kernels.call import Buffer, Call
from engine.lowering.plan import Plan
from engine.runtime.stream import Stream
from engine.runtime.threads import Workers
from engine.types import concrete

ALIGNMENT = 64


def aligned(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """An array of zeros that starts at a multiple of 64 bytes."""
    count = prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(count + ALIGNMENT, np.uint8)  # not np.zeros: numpy asks for huge pages only here
    raw[...] = 0
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start: start + count].view(dtype).reshape(shape)


class Session:
    """A plan bound to a weight store (`parameters`, changed in place), tables and worker threads.

    Feeds (graph inputs) live in `feeds`; write into the front of them before a run.
    """

    def __init__(
        self,
        plan: Plan,
        parameters: Mapping[str, np.ndarray],
        tables: Mapping[str, np.ndarray],
        workers: Workers,
        *,
        seed: int = 0,
    ) -> None:
        self.plan = plan
        self.workers = workers
        self.state = aligned((run_state.FIELDS,), "int64")
        self.state[run_state.SEED] = seed
        self.parameters = parameters
        self.tables = dict(tables)
        self._arena = aligned((max(plan.allocation.arena_bytes, ALIGNMENT),), "uint8")
        self._constants = {value: self._constant(value) for value in plan.graph.constants()}
        self.feeds = {
            value.name: aligned(concrete(value.shape, plan.batch), value.dtype) for value in plan.graph.inputs
        }
        self._streams: dict[int, Stream] = {}
        self._producers = plan.graph.producers()
        for name, table in self.tables.items():
            if not table.flags.c_contiguous:
                raise CompileError(f"table {name!r}: expected a C-contiguous array")

    @staticmethod
    def _constant(value: Value) -> np.ndarray:
        assert value.data is not None
        array = aligned(value.data.shape, value.dtype)
        array[...] = value.data
        return array

    def rebound(self, plan: Plan) -> Session:
        """Another plan over the same parameters, tables and threads, with this session's state."""
        session = Session(plan, self.parameters, self.tables, self.workers)
        session.state[:] = self.state
        return session

    def run(self, batch: int, steps: int = 1, leave: Callable[[], bool] | None = None) -> int:
        """Run `steps` steps of `batch` examples as the state says; returns how many were done before a stop.

        `leave` is asked now and then whether to give up in the middle of a step: see `Workers.run`.
        """
        self.state[run_state.BATCH] = batch
        return self.workers.run(self.prepare(batch), steps, leave)

    def prepare(self, batch: int) -> Stream:
        """What runs batches of this size, bound and with its compute kernels loaded."""
        if batch not in self._streams:
            held = (self._arena, self._constants, self.feeds, self.parameters, self.tables)
            self._streams[batch] = Stream(self.bind(batch), self.state, self.workers.threads, held)
        return self._streams[batch]

    def fetch(self, name: str, batch: int) -> np.ndarray:
        """A copy of one of the plan's outputs as the last step left it."""
        return self.value(self.plan.graph.outputs[name], batch)

    def value(self, value: Value, batch: int) -> np.ndarray:
        """A copy of any value that still has its place in the arena."""
        buffer = self._buffer(value, batch)
        count = prod(buffer.shape) * np.dtype(buffer.dtype).itemsize
        memory = (ctypes.c_uint8 * count).from_address(buffer.address)
        return np.ctypeslib.as_array(memory).view(buffer.dtype).reshape(buffer.shape).copy()

    def _array(self, value: Value, batch: int) -> np.ndarray:
        if value.role == "parameter":
            return self.parameters[value.name]
        if value.role == "constant":
            return self._constants[value]
        if value.role == "state":
            return self.state
        if value.role == "input":
            flat = self.feeds[value.name].reshape(-1)
            shape = concrete(value.shape, batch)
            return flat[: prod(shape)].reshape(shape)
        return self.tables[value.name]

    def _buffer(self, value: Value, batch: int) -> Buffer:
        shape = concrete(value.shape, batch)
        block = self.plan.allocation.blocks.get(value)
        if block is not None:
            return Buffer(self._arena.ctypes.data + block.offset, shape, value.dtype)
        source = self._source(value)
        array = self._array(source, batch)
        if source.role == "table":
            shape = array.shape
        if str(array.dtype) != value.dtype:
            raise CompileError(f"{source.name or 'value'}: expected dtype {value.dtype}, received {array.dtype}")
        return Buffer(array.ctypes.data, shape, value.dtype)

    def _source(self, value: Value) -> Value:
        """What a view of a parameter, constant or feed looks at."""
        while value in self._producers:
            node = self._producers[value]
            value = node.inputs[node.op.views[node.outputs.index(value)]]
        return value

    def bind(self, batch: int) -> list[Call]:
        """The calls of one step, in order. Running them by hand is for looking at them one by one."""
        calls: list[Call] = []
        for request, node in self.plan.requests:
            family = importlib.import_module(f"engine.kernels.{request.family}")
            reads = [self._buffer(value, batch) for value in request.reads]
            writes = [self._buffer(value, batch) for value in request.writes]
            bound = family.bind(request, reads, writes)
            calls += [replace(call, label=f"{node.origin}:{call.label}") for call in bound]
        return calls
