"""Ops that rearrange, gather and draw, over generated shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.lowered import WHOLE, Division
from tests.engine.ops.checks import check

shapes = settings(max_examples=30, deadline=None, derandomize=True, database=None)
channels = st.sampled_from([1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 64, 67])
DIVISIONS = (WHOLE, Division(2), Division(4, single=True))


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


@shapes
@given(st.lists(st.sampled_from([1, 2, 3, 5, 16, 17, 33]), max_size=4), st.data())
def test_transpositions(sizes, data):
    shape = (data.draw(st.integers(1, 3)), *sizes)
    order = data.draw(st.permutations(range(1, len(shape))))
    check("transpose", [normal(*shape)], {"permutation": (0, *order)}, divisions=DIVISIONS)


@shapes
@given(st.integers(1, 3), st.integers(1, 9), channels, st.booleans(), st.data())
def test_weighted_sums_along_a_dimension(batch, size, inner, last, data):
    read = st.tuples(st.integers(0, size - 1), st.sampled_from([1.0, -0.5, 0.25]))
    taps = tuple(map(tuple, data.draw(st.lists(st.lists(read, max_size=4), min_size=1, max_size=12))))
    x = normal(batch, inner, size) if last else normal(batch, size, inner)
    check("resample", [x], {"axis": 2 if last else 1, "taps": taps}, divisions=DIVISIONS)


@shapes
@given(st.integers(1, 5), channels, channels, channels, st.booleans(), st.booleans())
def test_products_of_each_example(batch, m, k, n, left, right):
    a, b = normal(batch, *((k, m) if left else (m, k))), normal(batch, *((n, k) if right else (k, n)), seed=1)
    check("batch_matmul", [a, b], {"transpose_a": left, "transpose_b": right}, divisions=DIVISIONS, tolerance=1e-5)


@shapes
@given(st.integers(1, 50), channels, st.integers(1, 300), st.booleans())
def test_rows_of_a_table(rows, width, count, whole):
    ids = np.random.default_rng(1).integers(0, rows, count).astype("int32" if whole else "float32")
    check("embedding", [normal(rows, width), ids], {}, divisions=DIVISIONS)
    check("embedding_grad", [ids, normal(count, width)], {"rows": rows}, divisions=DIVISIONS, tolerance=1e-5)


def test_numbers_that_are_no_row_give_nan_and_take_no_gradient():
    ids = np.array([-1, 0, 2.9, 3, np.nan, np.inf, -0.5], "float32")
    (rows,) = check("embedding", [normal(3, 5), ids], {})
    assert np.isnan(rows).all(1).tolist() == [True, False, False, True, True, True, False]
    (grad,) = check("embedding_grad", [ids, np.ones((7, 5), "float32")], {"rows": 3})
    np.testing.assert_array_equal(grad[:, 0], [2, 0, 1])


@shapes
@given(st.integers(1, 40), channels, st.sampled_from([1.0, 30.0]))
def test_sparsemax(count, classes, scale):
    (y,) = check("sparsemax", [normal(count, classes) * np.float32(scale)], {}, divisions=DIVISIONS, tolerance=1e-5)
    np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-4)


@shapes
@given(st.integers(1, 20_000), st.integers(0, 1 << 20))
def test_random_values(size, stream):
    attrs: dict[str, Any] = {"shape": (1, size), "stream": stream}
    check("random_mask", [normal(1, 2)], {**attrs, "rate": 0.3, "kept": 2.0}, divisions=DIVISIONS)
    check("random_uniform", [normal(1, 2)], {**attrs, "low": -0.25, "high": 3.0}, divisions=DIVISIONS)
    check("random_normal", [normal(1, 2)], {**attrs, "mean": 0.5, "stddev": 2.0}, divisions=DIVISIONS, tolerance=1e-6)


def test_normal_numbers_are_normal():
    (y,) = check("random_normal", [normal(1, 2)], {"shape": (1, 200_000), "stream": 9, "mean": 1.0, "stddev": 2.0})
    z = (y.astype("float64") - 1) / 2
    assert abs(z.mean()) < 0.01 and abs(z.std() - 1) < 0.01 and abs((z**3).mean()) < 0.03
    assert (z**4).mean() == pytest.approx(3, abs=0.06) and abs(np.corrcoef(z[0, :-1], z[0, 1:])[0, 1]) < 0.01


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_where_it_is(value):
    x = normal(3, 5)
    x[1, 2] = value
    check("transpose", [x[None]], {"permutation": (0, 2, 1)})
    with np.errstate(all="ignore"):
        check("resample", [x], {"axis": 1, "taps": (((2, 0.5),), ((0, 1.0), (1, 1.0)))})
        check("where", [np.array([[1.0], [0.0], [-1.0]], "float32"), x, normal(3, 5, seed=1)], {})
