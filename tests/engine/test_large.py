"""Arrays of more than 2^31 elements: the last chunk of each kernel, on memory of which only its pages exist."""

from __future__ import annotations

import ctypes
import importlib
import mmap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from engine.graph.ir import GraphBuilder, Value
from engine.kernels import memory
from engine.kernels.call import Buffer, Call
from engine.lowering.request import KernelRequest
from engine.ops.base import find
from engine.types import Batch, Type, concrete, size_bytes
from tests.engine.lowered import KERNEL, state_array

NORESERVE = 0x4000
"""Linux's MAP_NORESERVE."""
ELEMENTS = 2**31 + 5000
LAST = 12
"""Examples at the end that are filled and looked at."""


class Region:
    """Memory that takes only address space until it is touched."""

    def __init__(self, nbytes: int) -> None:
        try:
            self._map = mmap.mmap(-1, nbytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE)
        except OSError as error:
            pytest.skip(f"no address space for {nbytes} bytes: {error}")
        self._window: Any = (ctypes.c_uint8 * nbytes).from_buffer(self._map)
        self.address = ctypes.addressof(self._window)

    def tail(self, value: Value, batch: int) -> np.ndarray:
        """The last examples."""
        row = size_bytes(value.type, 1)
        start = (batch - LAST) * row
        array = np.frombuffer(self._window, np.uint8, LAST * row, start)
        return array.view(value.dtype).reshape(LAST, *concrete(value.shape, 1)[1:])

def finish(calls: list[Call], batch: int) -> None:
    """The chunks of every call that hold the last examples."""
    for call in calls:
        first = call.chunks - -(-call.chunks * LAST // batch) - 1
        KERNEL(call.entry)(call.args.ctypes.data, max(0, first), call.chunks)


CASES: list[tuple[str, tuple[int, ...], tuple[tuple[int, ...], ...], dict[str, Any]]] = [
    ("relu", (1000,), (), {}), ("add", (64,), ((64,),), {}), ("softmax", (100,), (), {}),
    ("matmul", (512,), ((512, 3),), {}), ("conv2d", (40, 41, 2), ((3, 3, 2, 5),), {"padding": ((1, 1), (1, 1))}),
    ("depthwise_conv2d", (40, 41, 3), ((3, 3, 3, 1),), {}), ("reduce_sum", (1000,), (), {"axes": (1,)}),
    ("max_pool2d", (40, 40, 3), (), {"pool": (2, 2), "strides": (2, 2)}),
    ("average_pool2d", (40, 40, 3), (), {"pool": (2, 2), "strides": (2, 2)}),
    ("slice", (40, 30), (), {"axis": 1, "start": 3, "stop": 39}), ("argmax", (700,), (), {}),
]


@pytest.mark.parametrize(("op", "row", "others", "attrs"), CASES, ids=[case[0] for case in CASES])
def test_the_last_examples(op: str, row: tuple[int, ...], others: tuple[tuple[int, ...], ...],
                           attrs: Mapping[str, Any]):
    batch = -(-ELEMENTS // int(np.prod(row)))
    b = GraphBuilder("large")
    inputs = [b.input("x", Type((Batch(), *row)))]
    inputs += [b.input(f"w{index}", Type(shape)) for index, shape in enumerate(others)]
    outputs = b.apply(op, *inputs, **attrs)
    random = np.random.default_rng(0)
    held: dict[Value, Region] = {}
    given = [random.standard_normal(shape).astype("float32") for shape in others]

    def buffer(value: Value) -> Buffer:
        shape = concrete(value.shape, batch)
        if value in inputs[1:]:
            return Buffer(given[inputs.index(value) - 1].ctypes.data, shape, value.dtype)
        if value not in held:
            held[value] = Region(size_bytes(value.type, batch))
        return Buffer(held[value].address, shape, value.dtype)

    buffer(inputs[0])
    x = held[inputs[0]].tail(inputs[0], batch)
    x[...] = random.standard_normal(x.shape)
    node = b.nodes[-1]
    for request in node.op.lower(node):
        family = importlib.import_module(f"engine.kernels.{request.family}")
        reads = [buffer(value) for value in request.reads]
        finish(family.bind(request, reads, [buffer(value) for value in request.writes]), batch)
    wanted = find(op).reference(x.astype("float64"), *(array.astype("float64") for array in given), **attrs)
    np.testing.assert_allclose(held[outputs[0]].tail(outputs[0], batch), wanted[0], rtol=1e-5, atol=1e-5)


def test_rows_of_a_table_beyond_two_to_the_32nd_bytes():
    batch = 2**32 // 3072 + 100
    rows, out = Value(Type((1, 32, 32, 3), "uint8"), "table", "x"), Value(Type((Batch(), 32, 32, 3), "uint8"), "node")
    region = Region(batch * 3072)
    last = np.frombuffer(region._window, np.uint8, LAST * 3072, (batch - LAST) * 3072).reshape(LAST, 32, 32, 3)
    last[...] = np.random.default_rng(0).integers(0, 256, last.shape)
    order = np.array([batch - 1, batch - 7, batch - 3])
    state, taken = state_array(order=order), np.zeros((3, 32, 32, 3), "uint8")
    state_value = Value(Type((16,), "int64"), "state")
    request = KernelRequest("memory", "gather", (rows, state_value), (out,))
    reads = [Buffer(region.address, (batch, 32, 32, 3), "uint8"), Buffer(state.ctypes.data, (16,), "int64")]
    finish(memory.bind(request, reads, [Buffer(taken.ctypes.data, taken.shape, "uint8")]), 3)
    np.testing.assert_array_equal(taken, last[[-1, -7, -3]])
