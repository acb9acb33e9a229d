"""Sums, means and maxima over any axes of random shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.lowered import WHOLE, Division, lowered
from tests.engine.ops.checks import check

FEW = (WHOLE, Division(4, single=True, backwards=True))
DIMENSION = st.one_of(st.integers(1, 20), st.sampled_from([31, 65, 521, 1031]))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), op=st.sampled_from(["reduce_sum", "reduce_mean", "reduce_max"]))
def test_any_axes_of_any_shape(data: st.DataObject, op: str):
    shape = tuple(data.draw(st.lists(DIMENSION, min_size=1, max_size=4)))
    while np.prod(shape) > 300_000:
        shape = shape[1:]
    axes = data.draw(st.lists(st.sampled_from(range(len(shape))), min_size=1, unique=True))
    attrs = {"axes": tuple(sorted(axes)), "keepdims": data.draw(st.booleans())}
    x = np.random.default_rng(len(shape)).standard_normal(shape, np.float32)
    check(op, [x], attrs, divisions=FEW, tolerance=1e-5)


@pytest.mark.parametrize("shape", [(40, 33), (33, 40), (5, 6, 7)])
def test_nan_wins_and_infinity_is_no_bound(shape: tuple[int, ...]):
    x = np.full(shape, -np.inf, np.float32)
    for axes in ((0,), (len(shape) - 1,), tuple(range(len(shape)))):
        (largest,) = lowered("reduce_max", [x], {"axes": axes}).run([x])
        assert (largest == -np.inf).all()
    x[3, 4] = np.nan
    for axes in ((0,), (len(shape) - 1,), tuple(range(len(shape)))):
        (largest,) = lowered("reduce_max", [x], {"axes": axes}).run([x])
        np.testing.assert_array_equal(np.isnan(largest), np.isnan(x.max(axes)))
