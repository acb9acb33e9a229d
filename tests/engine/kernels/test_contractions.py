"""Contractions of any shape against references in float64: edges of 1, primes, what is no multiple of the lanes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine.lowering import select
from engine.ops.base import find
from engine.windows import output_size
from tests.engine.lowered import WHOLE, Division, lowered, same_bits
from tests.engine.ops.checks import check, expected

LENGTH = st.sampled_from((1, 2, 3, 5, 7, 11, 13, 16, 17, 23, 31, 32, 33, 47, 64, 67, 96, 97))
DIVISIONS = (WHOLE, Division(2), Division(single=True, backwards=True))
THOROUGH = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def drawn(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(shape).astype("float32") for shape in shapes]


@THOROUGH
@given(m=LENGTH, k=LENGTH, n=LENGTH, left=st.booleans(), right=st.booleans(), seed=st.integers(0, 99))
def test_matrix_products(m: int, k: int, n: int, left: bool, right: bool, seed: int):
    arrays = drawn(seed, (k, m) if left else (m, k), (n, k) if right else (k, n))
    check("matmul", arrays, {"transpose_a": left, "transpose_b": right}, divisions=DIVISIONS)


@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("m, k, n", [(513, 520, 529), (1031, 3, 331), (2, 1100, 300), (600, 1100, 250)])
def test_large_matrix_products(m: int, k: int, n: int, transposed: tuple[bool, bool]):
    """With their right operand in panels, or many terms."""
    left, right = transposed
    arrays = drawn(1, (k, m) if left else (m, k), (n, k) if right else (k, n))
    check("matmul", arrays, {"transpose_a": left, "transpose_b": right}, divisions=DIVISIONS[:2])


@pytest.mark.parametrize("m, k, n", [(1, 300, 700), (5, 37, 530), (33, 64, 769), (128, 512, 1024), (7, 1, 513)])
def test_panels_turned_where_they_are_used(m: int, k: int, n: int):
    """The bits of a product with the same matrix as it stands: a twin that turns nothing."""
    assert select.turned_in_place(m, n, k, select.WIDEST_PANEL)
    left, right = drawn(2, (m, k), (n, k))
    check("matmul", [left, right], {"transpose_b": True}, divisions=DIVISIONS)
    (turned,) = lowered("matmul", [left, right], {"transpose_b": True}).run([left, right])
    plain = [left, np.ascontiguousarray(right.T)]
    assert same_bits(turned, lowered("matmul", plain, {}).run(plain)[0])


@pytest.mark.parametrize("rows, columns", [(128, 512), (131, 529)])
def test_wide_tiles_of_long_gradients(rows: int, columns: int, monkeypatch: pytest.MonkeyPatch):
    """The bits of narrow tiles."""
    arrays = drawn(4, (4100, rows), (4100, columns))
    check("matmul", arrays, {"transpose_a": True}, divisions=DIVISIONS[:2])
    (wide,) = lowered("matmul", arrays, {"transpose_a": True}).run(arrays)
    assert select.wide_pays(rows, 513, columns)
    monkeypatch.setattr(select, "WIDE_PAYS", (2**62,) * 3)
    assert same_bits(wide, lowered("matmul", arrays, {"transpose_a": True}).run(arrays)[0])


@st.composite
def convolutions(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]:
    """The shapes of an image and a kernel, and attributes."""
    groups = draw(st.sampled_from((1, 1, 1, 2, 3)))
    channels, filters = draw(st.integers(1, 19)), draw(st.integers(1, 37))
    window = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    strides, dilation = ((draw(st.integers(1, 3)), draw(st.integers(1, 3))) for _ in range(2))
    padding = tuple((draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(2))
    image = tuple(draw(st.integers(1, 12)) for _ in range(2))
    for d in (0, 1):
        assume(output_size(image[d], window[d], strides[d], dilation[d], padding[d]) >= 1)
        assume(max(padding[d]) <= (window[d] - 1) * dilation[d])
    attrs = {"strides": strides, "dilation": dilation, "padding": padding, "groups": groups}
    return (draw(st.integers(1, 3)), *image, channels * groups), (*window, channels, filters * groups), attrs


def in_three_directions(x: tuple[int, ...], kernel: tuple[int, ...],
                        attrs: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Op, shapes and attributes of a convolution and its two gradients."""
    sizes = tuple(
        output_size(x[1 + d], kernel[d], attrs.get("strides", (1, 1))[d], attrs.get("dilation", (1, 1))[d],
                    attrs.get("padding", ((0, 0), (0, 0)))[d]) for d in (0, 1))
    y = (x[0], *sizes, kernel[3])
    return [("conv2d", (x, kernel), attrs), ("conv2d_backward_data", (y, kernel), {**attrs, "size": x[1:3]}),
            ("conv2d_backward_kernel", (x, y), {**attrs, "kernel": kernel[:2]})]


@THOROUGH
@given(case=convolutions(), seed=st.integers(0, 99))
def test_convolutions_in_three_directions(case: Any, seed: int):
    for op, shapes, attrs in in_three_directions(*case):
        check(op, drawn(seed, *shapes), attrs, divisions=DIVISIONS)


@pytest.mark.parametrize("channels, filters", [(128, 131), (136, 128)])
def test_pointwise_convolutions_as_products(channels: int, filters: int):
    """Panels pay for the whole batch and not for an example alone, which has the same bits all the same."""
    x, kernel = (9, 16, 15, channels), (1, 1, channels, filters)
    assert select.panels_pay(9 * 16 * 15, channels, filters) and not select.panels_pay(16 * 15, channels, filters)
    for op, shapes, attrs in in_three_directions(x, kernel, {}):
        arrays = drawn(5, *shapes)
        check(op, arrays, attrs, divisions=DIVISIONS[:2])
        if op != "conv2d_backward_kernel":
            alone = [arrays[0][3:4], arrays[1]]
            (together,), (single,) = (lowered(op, given, attrs).run(given) for given in (arrays, alone))
            assert same_bits(together[3:4], single)


@settings(THOROUGH, max_examples=20)
@given(
    tile=st.sampled_from((2, 4)), images=st.integers(1, 5), image=st.tuples(st.integers(3, 17), st.integers(3, 17)),
    channels=st.sampled_from((16, 32, 48, 80)), filters=st.sampled_from((16, 32, 48, 64)),
    padding=st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2), seed=st.integers(0, 99),
)
def test_winograd_beside_the_direct_algorithm(tile: int, images: int, image: tuple[int, int], channels: int,
                                              filters: int, padding: Any, seed: int):
    """Its errors, in deviations of the output, stay below a fifth of what is allowed it; direct is its slow twin."""
    x, kernel = (images, *image, channels), (3, 3, channels, filters)
    for op, shapes, attrs in in_three_directions(x, kernel, {"padding": padding}):
        arrays = drawn(seed, *shapes)
        (wanted,) = expected(op, arrays, attrs)
        (direct,) = lowered(op, arrays, attrs).run(arrays)
        node = lowered(op, arrays, {**attrs, "winograd": tile})
        results = [node.run(arrays, division)[0] for division in DIVISIONS]
        assert all(same_bits(results[0], other) for other in results)
        deviation = float(wanted.std()) or 1.0
        assert np.abs(direct - wanted).max() <= 1e-5 * deviation
        assert np.abs(results[0] - wanted).max() <= (1e-5 if tile == 2 else 2.5e-5) * deviation


@pytest.mark.parametrize("tile, limit", [(2, 5e-6), (4, 2.5e-5)])
@pytest.mark.parametrize("channels", [16, 64, 128])
def test_winograds_error_on_images_as_they_are(tile: int, limit: float, channels: int):
    """Activations are positive, sums long: the worst case in practice. 5e-5 deviations are allowed."""
    x, kernel = (8, 16, 16, channels), (3, 3, channels, 32)
    for op, shapes, attrs in in_three_directions(x, kernel, {"padding": ((1, 1), (1, 1)), "winograd": tile}):
        first, second = drawn(3, *shapes)
        arrays = [np.maximum(first, 0), second]
        (wanted,) = expected(op, arrays, attrs)
        (result,) = lowered(op, arrays, attrs).run(arrays)
        assert np.abs(result - wanted).max() <= limit * wanted.std(), (op, np.abs(result - wanted).max() / wanted.std())


def test_ops_take_the_attribute_that_the_plan_writes():
    for name in ("conv2d", "conv2d_backward_data", "conv2d_backward_kernel"):
        assert any("winograd" in sample.attrs for sample in find(name).samples)


@pytest.mark.parametrize("tile, limit", [(2, 2e-6), (4, 2e-5)])
def test_an_outlier_costs_digits_of_its_own_tile_only(tile: int, limit: float):
    """Around a pixel a million times as bright, errors are small as measured by it; further away nothing changes."""
    x, kernel = (1, 24, 24, 16), (3, 3, 16, 16)
    attrs = {"padding": ((1, 1), (1, 1)), "winograd": tile}
    image, weights = drawn(3, x, kernel)
    bright = image.copy()
    bright[0, 12, 12, 5] = 1e6
    (wanted,), (result,), (plain,) = (expected("conv2d", [bright, weights], attrs), *(
        lowered("conv2d", [given, weights], attrs).run([given, weights]) for given in (bright, image)))
    assert np.abs(result - wanted).max() <= limit * 1e6 * np.abs(weights).max()
    touched = (result != plain).any(-1)[0]
    assert 9 <= touched.sum() <= (2 * tile) ** 2
    assert touched[11:14, 11:14].all()
