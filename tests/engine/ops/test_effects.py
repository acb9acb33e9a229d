"""Ops that read tables or write parameters and records: kernels against the references."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from engine.graph.ir import STATE, Value
from engine.kernels import memory
from engine.kernels import state as run_state
from engine.kernels.call import Buffer
from engine.lowering.request import KernelRequest
from engine.ops.base import find
from engine.ops.optimize import updated
from engine.types import Batch, Type
from tests.engine.lowered import DIVISIONS, lowered, perform, same_for_any_threads, state_array

OPTIMIZERS: list[tuple[str, int, dict[str, Any]]] = [
    ("sgd", 0, {}),
    ("sgd", 1, {"momentum": 0.9}),
    ("sgd", 1, {"momentum": 0.9, "nesterov": True}),
    ("rmsprop", 1, {}),
    ("rmsprop", 2, {"centered": True}),
    ("rmsprop", 2, {"momentum": 0.5}),
    ("rmsprop", 3, {"momentum": 0.5, "centered": True, "rho": 0.8, "epsilon": 1e-3}),
    ("adam", 2, {}),
    ("adam", 3, {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4}),
]
SIZES = ((3,), (17, 5), (4096,), (4097,), (70, 130))


@pytest.mark.parametrize(
    ("op", "slots", "attrs", "weight_decay"), [(*case, decay) for case, decay in product(OPTIMIZERS, (0.0, 0.1))]
)
def test_one_update_of_many_variables(op, slots, attrs, weight_decay):
    """Each variable as the reference does it alone; rate and step come from the state."""
    random = np.random.default_rng(0)
    arrays = []
    for shape in SIZES:
        group = [random.standard_normal(shape).astype("float32") for _ in range(2 + slots)]
        if op != "sgd":
            group[2:] = [np.abs(slot) for slot in group[2:]]
        if attrs.get("centered"):
            group[3] *= np.float32(0.1)
            group[2] += np.float32(1.0)
        arrays += group
    rates = np.array([9.0, 0.01], "float32")
    state = state_array(step=6, rates=rates)
    state[run_state.RECORD] = 1
    attrs = {**attrs, "weight_decay": weight_decay}
    node = lowered("update", arrays, {**attrs, "rule": op, "slots": slots}, state=state)
    results = same_for_any_threads(node, arrays)
    for start in range(0, len(arrays), 2 + slots):
        variable = [array.astype("float64") for array in arrays[start : start + 2 + slots]]
        weights, *kept = updated(op, float(rates[1]), 7, variable, **attrs)
        for received, wanted in zip(results[start : start + 2 + slots], (weights, variable[1], *kept), strict=True):
            np.testing.assert_allclose(received, wanted, rtol=1e-5, atol=2e-6)


def test_gather_takes_the_rows_that_the_order_names_from_the_cursor_on():
    rows = np.random.default_rng(0).integers(0, 256, (50, 5, 3)).astype("uint8")
    order = np.random.default_rng(1).permutation(50)
    state = state_array(cursor=11, order=order)
    out = np.zeros((20, 5, 3), "uint8")
    table, batch = Value(Type((1, 5, 3), "uint8"), "table", "x"), Value(Type((Batch(), 5, 3), "uint8"), "node")
    request = KernelRequest("memory", "gather", (table, STATE), (batch,))
    reads = [Buffer(array.ctypes.data, array.shape, str(array.dtype)) for array in (rows, state)]
    for division in DIVISIONS:
        out[...] = 0
        perform(memory.bind(request, reads, [Buffer(out.ctypes.data, out.shape, "uint8")]), division)
        np.testing.assert_array_equal(out, find("gather").reference(rows, order[11:31])[0])


def test_assign_copies_into_the_parameter():
    parameter, value = np.zeros((7, 19), "float32"), np.random.default_rng(0).standard_normal((7, 19)).astype("float32")
    after, unchanged = same_for_any_threads(lowered("assign", [parameter, value], {}), [parameter, value])
    np.testing.assert_array_equal(after, value)
    np.testing.assert_array_equal(unchanged, value)


def test_record_writes_at_its_offset_of_the_steps_line():
    lines = np.full((4, 10), np.nan, "float32")
    state = state_array()
    state[run_state.RECORDS], state[run_state.RECORD] = lines.ctypes.data, 2
    values = np.array([1.0, 2.0, 3.0], "float32")
    lowered("record", [values], {"offset": 5, "width": 10}, state=state).run([values])
    np.testing.assert_array_equal(lines[2], [np.nan] * 5 + [1, 2, 3] + [np.nan] * 2)
    assert np.isnan(lines[[0, 1, 3]]).all()
