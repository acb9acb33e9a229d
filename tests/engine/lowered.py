"""Runs one op by its compute kernels as a plan would, but on guarded memory and with its chunks shared out any way."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from engine.graph.ir import GraphBuilder, Node, Value
from engine.kernels import state as run_state
from engine.kernels.call import Buffer, Call
from engine.lowering.request import KernelRequest
from engine.ops.base import find
from engine.types import Batch, Type, concrete

GUARD = 256
"""Bytes on either side of every buffer that no kernel may write."""
PATTERN = 0xC7
"""What memory holds before it is written: -1e5 as float32, out of any range as int32, so that reading it shows."""

KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


class Memory:
    """One value's buffer, 64-byte aligned, between two guards."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self._whole = np.full(nbytes + 2 * GUARD + 64, PATTERN, np.uint8)
        self._start = GUARD + -(self._whole.ctypes.data + GUARD) % 64
        self.address = self._whole.ctypes.data + self._start

    def array(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """The buffer's beginning."""
        count = prod(shape) * np.dtype(dtype).itemsize
        return self._whole[self._start : self._start + count].view(dtype).reshape(shape)

    def intact(self) -> bool:
        """Whether nothing was written outside."""
        before, after = self._whole[: self._start], self._whole[self._start + self.nbytes :]
        return bool((before == PATTERN).all() and (after == PATTERN).all())


@dataclass(frozen=True)
class Division:
    """How the chunks of each call are shared out: to `threads`, a run of chunks each, or chunk by chunk if `single`."""

    threads: int = 1
    single: bool = False
    backwards: bool = False

    def runs(self, chunks: int) -> list[tuple[int, int]]:
        """Half-open runs of chunks."""
        pieces = chunks if self.single else min(chunks, self.threads)
        runs = [(chunks * piece // pieces, chunks * (piece + 1) // pieces) for piece in range(pieces)]
        return runs[::-1] if self.backwards else runs


WHOLE = Division()
DIVISIONS = (WHOLE, Division(2), Division(4), Division(single=True, backwards=True), Division(4, single=True))


def perform(calls: Sequence[Call], division: Division) -> None:
    """Run calls one after the other, each by the division's threads."""
    with ThreadPoolExecutor(division.threads) as pool:
        for call in calls:
            kernel, arguments = KERNEL(call.entry), call.args.ctypes.data
            if division.threads == 1:
                for begin, end in division.runs(call.chunks):
                    kernel(arguments, begin, end)
            else:
                for done in [pool.submit(kernel, arguments, *run) for run in division.runs(call.chunks)]:
                    done.result()


def state_array(
    *,
    seed: int = 11,
    step: int = 5,
    epoch: int = 5,
    cursor: int = 0,
    order: np.ndarray | None = None,
    rates: np.ndarray | None = None,
) -> np.ndarray:
    """A run's state; by default that of the ops' references. It holds addresses: keep the arrays alive."""
    state = np.zeros(run_state.FIELDS, np.int64)
    state[run_state.SEED], state[run_state.STEP] = seed, step
    state[run_state.EPOCH], state[run_state.CURSOR] = epoch, cursor
    state[run_state.ORDER] = (IDENTITY if order is None else order).ctypes.data
    state[run_state.RATES] = 0 if rates is None else rates.ctypes.data
    return state


IDENTITY = np.arange(4096)


@dataclass
class Lowered:
    """A node and its kernel requests. Every value's memory is as large as for `maximum` examples."""

    node: Node
    batch: int
    maximum: int
    state: np.ndarray = field(default_factory=state_array)

    def __post_init__(self) -> None:
        self.requests: list[KernelRequest] = self.node.op.lower(self.node)

    def run(
        self, arrays: Sequence[np.ndarray], division: Division = WHOLE, sharing: Mapping[Value, Value] | None = None
    ) -> list[np.ndarray]:
        """The outputs for these inputs, or for an op with an effect the inputs afterwards.

        Asserts that nothing but outputs and scratch was written. `sharing` puts an output into an input's memory.
        """
        op, inputs = self.node.op, [value for value in self.node.inputs if value.role != "state"]
        if op.views and not self.requests:
            return [
                arrays[op.views[index]].reshape(self._shape(value)) for index, value in enumerate(self.node.outputs)
            ]
        memory: dict[Value, Memory] = {}
        for value, array in zip(inputs, arrays, strict=True):
            self._array(memory, value)[...] = array
        memory |= {output: memory[taken] for output, taken in (sharing or {}).items()}
        calls: list[Call] = []
        for request in self.requests:
            family = importlib.import_module(f"engine.kernels.{request.family}")
            reads = [self._buffer(memory, value) for value in request.reads]
            calls += family.bind(request, reads, [self._buffer(memory, value) for value in request.writes])
        perform(calls, division)
        for value, held in memory.items():
            assert held.intact(), f"{op.name} wrote outside a buffer of {value.type}"
        if op.effect:
            return [self._array(memory, value).copy() for value in inputs]
        for value, array in zip(inputs, arrays, strict=True):
            assert sharing or same_bits(self._array(memory, value), array), f"{op.name} wrote into an input"
        return [self._array(memory, value).copy() for value in self.node.outputs]

    def _shape(self, value: Value) -> tuple[int, ...]:
        return concrete(value.shape, self.batch)

    def _array(self, memory: dict[Value, Memory], value: Value) -> np.ndarray:
        if value not in memory:
            memory[value] = Memory(prod(concrete(value.shape, self.maximum)) * np.dtype(value.dtype).itemsize)
        return memory[value].array(self._shape(value), value.dtype)

    def _buffer(self, memory: dict[Value, Memory], value: Value) -> Buffer:
        if value.role == "state":
            return Buffer(self.state.ctypes.data, self.state.shape, "int64")
        self._array(memory, value)
        return Buffer(memory[value].address, self._shape(value), value.dtype)


def lowered(
    op: str,
    arrays: Sequence[np.ndarray],
    attrs: Mapping[str, Any],
    *,
    batched: Sequence[int] = (),
    spare: int = 0,
    state: np.ndarray | None = None,
) -> Lowered:
    """A node of this op on inputs of the arrays' types.

    The inputs numbered in `batched` get an open batch dimension in front, and memory for `spare` more examples.
    """
    b = GraphBuilder("test")
    shapes = [(Batch(), *array.shape[1:]) if index in batched else array.shape for index, array in enumerate(arrays)]
    inputs = [
        b.input(f"x{index}", Type(shape, str(array.dtype)))
        for index, (shape, array) in enumerate(zip(shapes, arrays, strict=True))
    ]
    b.apply(find(op), *inputs, **attrs)
    batch = arrays[batched[0]].shape[0] if batched else 1
    made = Lowered(b.nodes[-1], batch, batch + spare)
    if state is not None:
        made.state = state
    return made


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays hold the same bytes."""
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def same_for_any_threads(
    node: Lowered, arrays: Sequence[np.ndarray], divisions: Sequence[Division] = DIVISIONS
) -> list[np.ndarray]:
    """The outputs, after asserting that every division of the work gives the same bits."""
    expected = node.run(arrays, divisions[0])
    for division in divisions[1:]:
        for one, other in zip(expected, node.run(arrays, division), strict=True):
            assert same_bits(one, other), f"{node.node.op.name}: other bits with {division}"
    return expected
