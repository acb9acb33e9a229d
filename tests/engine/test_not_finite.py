"""NaN, infinity and numbers at the ends of float32: where they go.

The values are those of TensorFlow 2.21 on a CPU, unless a test says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.autodiff import gradients
from engine.graph.ir import GraphBuilder, Value
from engine.lowering.plan import compile_plan
from engine.runtime.session import Session
from engine.runtime.threads import Workers
from engine.types import Type

NAN, INF = np.nan, np.inf


def run(make: Callable[..., Value], *arrays: Any, gradient: bool = False) -> np.ndarray:
    """What `make(builder, *inputs)` gives for these arrays; or the gradient of its sum for the first of them."""
    b = GraphBuilder("test")
    given = [np.asarray(array, getattr(array, "dtype", None) or "float32") for array in arrays]
    inputs = [b.input(f"x{index}", Type(array.shape, str(array.dtype))) for index, array in enumerate(given)]
    y = make(b, *inputs)
    if gradient:
        (y,) = gradients(b, b.op("reduce_sum", y, axes=tuple(range(y.type.rank))), inputs[:1])
    session = Session(compile_plan(b.finish(y=y), 1), {}, {}, Workers(1))
    for index, array in enumerate(given):
        session.feeds[f"x{index}"][...] = array
    session.run(1)
    return session.fetch("y", 1)


def labels(*codes: int) -> np.ndarray:
    return np.array(codes, "int32")


@pytest.mark.parametrize(("op", "expected"), [
    ("relu", [NAN, 0, INF]), ("relu6", [NAN, 0, 6]), ("elu", [NAN, -1, INF]), ("selu", [NAN, -1.7580993, INF]),
    ("gelu", [NAN, NAN, INF]), ("silu", [NAN, NAN, INF]), ("softplus", [NAN, 0, INF]), ("sigmoid", [NAN, 0, 1]),
    ("tanh", [NAN, -1, 1]), ("leaky_relu", [NAN, -INF, INF]), ("exp", [NAN, 0, INF]), ("log", [NAN, NAN, INF]),
    ("sqrt", [NAN, NAN, INF]), ("abs", [NAN, INF, INF]), ("sign", [NAN, -1, 1]), ("square", [NAN, INF, INF]),
])
def test_functions_of_nan_and_both_infinities(op: str, expected: list[float]):
    np.testing.assert_allclose(run(lambda b, x: b.op(op, x), [NAN, -INF, INF]), expected, rtol=1e-6)


def test_relu_of_nan_has_no_gradient_and_abs_of_it_has_nan():
    np.testing.assert_array_equal(run(lambda b, x: b.op("relu", x), [1, NAN, 3], gradient=True), [1, 0, 1])
    np.testing.assert_array_equal(run(lambda b, x: b.op("abs", x), [1, NAN, -3, 0], gradient=True), [1, NAN, -1, 0])


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("width", [4, 36])
def test_the_largest_of_numbers_with_a_nan_is_nan(place: int, width: int):
    """Of a pooling window, too: TensorFlow's CPU kernel passes over it there, but a NaN is not to disappear."""
    x = np.arange(width, dtype="float32")
    x[place] = NAN
    assert np.isnan(run(lambda b, x: b.op("reduce_max", x, axes=(0,)), x))
    image = x[:4].reshape(1, 2, 2, 1)
    assert np.isnan(run(lambda b, x: b.apply("max_pool2d", x, pool=(2, 2), strides=(2, 2))[0], image)).all()
    np.testing.assert_array_equal(np.isnan(run(lambda b, x: b.op("clip", x, low=0.5, high=2.5), x)), np.isnan(x))
    assert run(lambda b, x: b.op("argmax", x), x.reshape(1, width)).tolist() == [place]


def test_the_gradient_of_a_largest_nan_is_nan():
    received = run(lambda b, x: b.op("reduce_max", x, axes=(1,)), [[1, NAN, 3]], gradient=True)
    assert np.isnan(received).all()


@pytest.mark.parametrize(("logits", "expected"), [
    ([-INF, -INF, -INF], [NAN, NAN, NAN]), ([-INF, 0, 1], [INF, 1.3132616, 0.31326166]), ([INF, 0, 1], [NAN, NAN, NAN]),
    ([NAN, 0, 1], [NAN, NAN, NAN]), ([0, NAN, 1], [NAN, NAN, NAN]), ([1e38, -1e38, 0], [0, 2e38, 1e38]),
    ([88, 1000, -1000], [912, 0, 2000]), ([3e38, -3e38, 0], [0, INF, 3e38]),
])
def test_sparse_cross_entropy_of_extreme_logits(logits: list[float], expected: list[float]):
    def loss(b: GraphBuilder, x: Value, code: Value) -> Value:
        return b.apply("sparse_cross_entropy", x, code)[0]

    np.testing.assert_allclose(run(loss, [logits] * 3, labels(0, 1, 2)), expected, rtol=1e-6)


def test_softmax_of_extreme_logits():
    rows = [[-INF, 0, 1], [1e38, -1e38, 0], [88, 1000, -1000], [-1e-40, 1e-40, 0]]
    wanted: list[list[float]] = [[0, 0.26894143, 0.73105854], [1, 0, 0], [0, 1, 0], [1 / 3] * 3]
    np.testing.assert_allclose(run(lambda b, x: b.op("softmax", x), rows), wanted, rtol=1e-6)


@pytest.mark.parametrize("row", [[-INF, -INF, -INF], [INF, 0, 1], [0, NAN, 1]])
def test_softmax_of_what_has_none_is_nan_everywhere(row: list[float]):
    """TensorFlow leaves zeros beside a NaN."""
    assert np.isnan(run(lambda b, x: b.op("softmax", x), [row])).all()


def test_the_gradient_of_cross_entropy_with_an_impossible_class():
    def loss(b: GraphBuilder, x: Value, code: Value) -> Value:
        return b.apply("sparse_cross_entropy", x, code)[0]

    received = run(loss, [[-INF, 0, 1], [1e38, -1e38, 0]], labels(1, 1), gradient=True)
    wanted: list[list[float]] = [[0, -0.7310586, 0.7310586], [1, -1, 0]]
    np.testing.assert_allclose(received, wanted, rtol=1e-6)


@pytest.mark.parametrize("row", [[1, 2, 3, NAN], [NAN, 2, 3, 1], [1, INF, 3, 2], [1, 2, -INF, 3]])
def test_nothing_is_among_the_top_of_scores_that_are_not_finite(row: list[float]):
    hits = run(lambda b, x, code: b.op("in_top_k", x, code, k=2), [row] * 4, labels(0, 1, 2, 3))
    np.testing.assert_array_equal(hits, [0, 0, 0, 0])


def test_numbers_too_small_for_float32_lose_bits_and_nothing_else():
    x = [1e-40, -1e-40, 1e-45, 0]
    for op in ("relu", "tanh", "negative", "softplus", "exp", "sigmoid", "elu"):
        received = run(lambda b, x, op=op: b.op(op, x), x)
        wanted = run(lambda b, x, op=op: b.op(op, x), [0, 0, 0, 0])
        np.testing.assert_allclose(received, wanted, atol=2e-38, err_msg=op)
    assert np.isfinite(run(lambda b, x: b.op("matmul", x, x), np.full((5, 5), 1e-30))).all()


def test_counts_beyond_two_to_the_24th():
    """Where adding 1 to a float32 changes nothing any more."""
    weights = np.ones(1001, "float32")
    weights[0] = 2.0**24
    scores, truth = np.full(1001, 0.7, "float32"), np.ones(1001, "float32")
    counts = run(lambda b, *inputs: b.op("histogram", *inputs, thresholds=2), scores, truth, weights)
    assert counts.tolist() == [[2.0**24 + 1000, 0], [0, 0], [0, 0], [0, 2.0**24 + 1000]]
