"""Kernels over generated shapes: ones, primes, sizes around the vector's lanes, and every combination of options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.lowered import WHOLE, Division
from tests.engine.ops.checks import check

shapes = settings(max_examples=30, deadline=None, derandomize=True, database=None)
few = st.integers(1, 4)
channels = st.sampled_from([1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 32, 33, 64, 67])
rows = st.sampled_from([1, 2, 3, 5, 13, 64, 127, 511, 512, 513, 1031])
DIVISIONS = (WHOLE, Division(2), Division(4, single=True))


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


@st.composite
def window(draw: Any, size: int, *, least: int = 1) -> tuple[int, int, int, tuple[int, int]]:
    """kernel, stride, dilation and padding along one dimension, such that the kernel fits at least once."""
    kernel = draw(st.integers(least, 5))
    stride = draw(st.integers(1, 4))
    dilation = draw(st.integers(1, 3))
    needed = max(0, (kernel - 1) * dilation + 1 - size)
    before = draw(st.integers(0, 3))
    return kernel, stride, dilation, (before, max(needed - before, 0) + draw(st.integers(0, 3)))


@st.composite
def convolution(draw: Any) -> tuple[tuple[int, ...], tuple[int, int], dict[str, Any], tuple[int, ...]]:
    """(batch, h, w), kernel, attributes, (h', w')."""
    n, h, w = draw(st.sampled_from([1, 2, 3, 9])), draw(st.integers(1, 9)), draw(st.integers(1, 19))
    down, across = draw(window(h)), draw(window(w))
    outputs = tuple(
        (size + sum(padding) - (kernel - 1) * dilation - 1) // stride + 1
        for size, (kernel, stride, dilation, padding) in zip((h, w), (down, across), strict=True)
    )
    strides, dilation = (down[1], across[1]), (down[2], across[2])
    return (
        (n, h, w),
        (down[0], across[0]),
        {"strides": strides, "dilation": dilation, "padding": (down[3], across[3])},
        outputs,
    )


@shapes
@given(
    convolution(),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([1, 2, 3, 5, 16]),
    st.sampled_from([1, 3, 8, 11, 16, 17, 33]),
)
def test_convolution_in_three_directions(case, groups, inputs, outputs):
    (n, h, w), kernel, attrs, (oh, ow) = case
    attrs = {**attrs, "groups": groups}
    x, k = normal(n, h, w, inputs * groups), normal(*kernel, inputs, outputs * groups, seed=1)
    g = normal(n, oh, ow, outputs * groups, seed=2)
    check("conv2d", [x, k], attrs, divisions=DIVISIONS)
    check("conv2d_backward_data", [g, k], {**attrs, "size": (h, w)}, divisions=DIVISIONS)
    check("conv2d_backward_kernel", [x, g], {**attrs, "kernel": kernel}, divisions=DIVISIONS)


@shapes
@given(convolution(), channels, st.sampled_from([1, 1, 2, 3]))
def test_depthwise_convolution_in_three_directions(case, c, multiplier):
    (n, h, w), kernel, attrs, (oh, ow) = case
    x, k, g = normal(n, h, w, c), normal(*kernel, c, multiplier, seed=1), normal(n, oh, ow, c * multiplier, seed=2)
    check("depthwise_conv2d", [x, k], attrs, divisions=DIVISIONS)
    check("depthwise_conv2d_backward_data", [g, k], {**attrs, "size": (h, w)}, divisions=DIVISIONS)
    check(
        "depthwise_conv2d_backward_kernel", [x, g], {**attrs, "kernel": (*kernel, c, multiplier)}, divisions=DIVISIONS
    )


@shapes
@given(rows, st.sampled_from([1, 2, 5, 16, 31, 130]), channels, st.booleans(), st.booleans(), st.booleans())
def test_matmul(m, k, n, left, right, fused):
    a, b = normal(*((k, m) if left else (m, k))), normal(*((n, k) if right else (k, n)), seed=1)
    attrs: dict[str, Any] = {"transpose_a": left, "transpose_b": right}
    bias = [normal(n, seed=2)] if fused else []
    if fused:
        attrs["epilogue"] = (("relu", (0,), ()),)
    check("matmul", [a, b, *bias], attrs, divisions=DIVISIONS, tolerance=1e-5)


@shapes
@given(st.integers(512, 2100), st.sampled_from([1, 3, 17]), st.sampled_from([1, 16, 33]))
def test_matmul_over_a_long_batch(batch, m, n):
    check(
        "matmul",
        [np.abs(normal(batch, m)), np.abs(normal(batch, n, seed=1))],
        {"transpose_a": True},
        divisions=DIVISIONS,
        tolerance=1e-5,
    )


@st.composite
def pooling(draw: Any) -> tuple[tuple[int, int, int], dict[str, Any]]:
    n, sizes = draw(st.integers(1, 3)), (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    pool, strides, padding = [], [], []
    for size in sizes:
        pool.append(draw(st.integers(1, min(size, 4))))
        strides.append(draw(st.integers(1, 3)))
        padding.append((draw(st.integers(0, pool[-1] - 1)), draw(st.integers(0, pool[-1] - 1))))
    return (n, *sizes), {"pool": tuple(pool), "strides": tuple(strides), "padding": tuple(padding)}


@shapes
@given(pooling(), channels)
def test_pooling_and_its_gradients(case, c):
    (n, h, w), attrs = case
    y, chosen = check("max_pool2d", [normal(n, h, w, c)], attrs, divisions=DIVISIONS)
    check("max_pool2d_grad", [normal(*y.shape, seed=1), chosen], {**attrs, "size": (h, w)}, divisions=DIVISIONS)
    check("average_pool2d", [normal(n, h, w, c)], attrs, divisions=DIVISIONS)
    check("average_pool2d_grad", [normal(*y.shape, seed=1)], {**attrs, "size": (h, w)}, divisions=DIVISIONS)


@shapes
@given(st.lists(st.sampled_from([1, 2, 3, 5, 16, 17, 70]), min_size=1, max_size=4), st.data())
def test_reductions(shape, data):
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))))
    attrs = {"axes": axes, "keepdims": data.draw(st.booleans())}
    check("reduce_max", [normal(*shape)], attrs, divisions=DIVISIONS)
    check("reduce_sum", [np.abs(normal(*shape))], attrs, divisions=DIVISIONS)
    check("reduce_mean", [np.abs(normal(*shape))], attrs, divisions=DIVISIONS)


@shapes
@given(st.integers(500, 3000), channels)
def test_reductions_over_a_long_batch(length, c):
    check("reduce_sum", [normal(length, c)], {"axes": (0,)}, divisions=DIVISIONS)
    check("reduce_mean", [np.abs(normal(length, c))], {"axes": (0, 1)}, divisions=DIVISIONS)


@shapes
@given(rows, st.sampled_from([1, 3, 16, 17, 63, 64, 200, 511, 512, 513, 700]), st.sampled_from([0.0, 100.0]))
def test_batch_norm(length, c, offset):
    x, gamma, beta = normal(length, c) + np.float32(offset), normal(c, seed=1), normal(c, seed=2)
    # One row has no deviation: what is left is the mean's rounding, blown up by 1 / sqrt(epsilon).
    _, mean, variance = check(
        "batch_norm", [x, gamma, beta], {"epsilon": 1e-3}, divisions=DIVISIONS, tolerance=1e-5 + offset * 1e-5
    )
    check(
        "batch_norm_grad",
        [normal(length, c, seed=3), x, gamma, mean, variance],
        {"epsilon": 1e-3},
        divisions=DIVISIONS,
        tolerance=1e-5,
    )


@shapes
@given(rows, st.sampled_from([1, 2, 3, 10, 16, 17, 100]), st.sampled_from([1.0, 50.0]))
def test_softmax_and_cross_entropies(count, classes, scale):
    logits, g = normal(count, classes) * np.float32(scale), normal(count, seed=1)
    labels = np.random.default_rng(2).integers(0, classes, count).astype("int32")
    target = np.abs(normal(count, classes, seed=3))
    (y,) = check("softmax", [logits], {}, divisions=DIVISIONS)
    check("softmax_grad", [y, normal(count, classes, seed=4)], {}, divisions=DIVISIONS)
    check("sparse_cross_entropy", [logits, labels], {}, divisions=DIVISIONS)
    check("sparse_cross_entropy_grad", [y, labels, g], {}, divisions=DIVISIONS)
    check("cross_entropy", [logits, target], {}, divisions=DIVISIONS)
    check("cross_entropy_grad", [y, target, g], {}, divisions=DIVISIONS)


@shapes
@given(rows, channels, st.integers(1, 40), st.integers(2, 300))
def test_scores(count, classes, k, thresholds):
    scores = normal(count, classes).round(1)
    labels = np.random.default_rng(2).integers(-1, classes + 1, count).astype("int32")
    check("argmax", [scores], {}, divisions=DIVISIONS)
    check("in_top_k", [scores, labels], {"k": k}, divisions=DIVISIONS)
    check("one_hot", [labels], {"depth": classes}, divisions=DIVISIONS)
    drawn = np.random.default_rng(3).random(count).astype("float32")
    drawn[::3] = np.round(drawn[::3] * (thresholds - 1)) / (thresholds - 1)
    hits, weights = (labels > 0).astype("float32"), np.abs(normal(count, seed=4))
    check("histogram", [drawn, hits, weights], {"thresholds": thresholds}, divisions=DIVISIONS, tolerance=1e-5)


@shapes
@given(st.integers(1, 20_000), st.sampled_from([0.1, 0.5, 0.9]), st.integers(0, 1 << 20))
def test_dropout(size, rate, stream):
    check("dropout", [normal(size)], {"rate": rate, "stream": stream}, divisions=DIVISIONS, tolerance=1e-6)


@shapes
@given(st.lists(st.sampled_from([1, 2, 3, 5, 17]), min_size=1, max_size=4), st.data())
def test_moving_values(shape, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    start = data.draw(st.integers(0, shape[axis] - 1))
    x = normal(*shape)
    padding = tuple((data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))) for _ in shape)
    check(
        "slice",
        [x],
        {"axis": axis, "start": start, "stop": data.draw(st.integers(start + 1, shape[axis]))},
        divisions=DIVISIONS,
    )
    check("pad", [x], {"padding": padding, "value": 1.5}, divisions=DIVISIONS)
    others = [[*shape[:axis], size, *shape[axis + 1 :]] for size in data.draw(st.lists(st.integers(1, 5), max_size=2))]
    check("concatenate", [x, *(normal(*other, seed=1) for other in others)], {"axis": axis}, divisions=DIVISIONS)
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1)))))
    kept = [dim for index, dim in enumerate(shape) if index not in axes]
    check(
        "broadcast",
        [normal(*kept)],
        {"shape": tuple(shape), "axes": axes, "mean": data.draw(st.booleans())},
        divisions=DIVISIONS,
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_comes_out_where_it_went_in(value):
    x = normal(5, 33)
    x[2, 7] = value
    g = normal(5, 33, seed=1)
    with np.errstate(all="ignore"):
        check("reduce_max", [x], {"axes": (0,)})
        check("reduce_max", [x], {"axes": (1,)})
        check("argmax", [x], {})
        check("max_pool2d", [x.reshape(1, 5, 33, 1)], {"pool": (2, 3), "strides": (2, 3)})
        check("reduce_sum", [x], {"axes": (1,)})
        for op in (
            "relu",
            "relu6",
            "leaky_relu",
            "abs",
            "sign",
            "square",
            "sigmoid",
            "tanh",
            "elu",
            "selu",
            "softplus",
            "exp",
        ):
            check(op, [x], {})
        for op in ("maximum", "minimum", "add", "greater_equal", "equal"):
            check(op, [x, g], {})
            check(op, [g, x], {})
        check("clip", [x], {"low": -0.5, "high": 0.5})
        check("in_top_k", [x, np.array([0, 3, 7, 8, 32], "int32")], {"k": 2})
        check("one_hot", [np.array([-1, 0, 4, 5, 2**31 - 1], "int32")], {"depth": 5})
