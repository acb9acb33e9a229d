"""The rule of `same`: ceil(size / stride) positions, an odd row or column of padding below or to the right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.layers.window import window_padding
from engine.windows import output_size

sizes = st.integers(1, 40)


@given(size=sizes, window=st.integers(1, 9), stride=st.integers(1, 5), dilation=st.integers(1, 4))
def test_same_gives_one_position_for_every_stride(size, window, stride, dilation):
    (before, after), _ = window_padding("same", (size, 1), (window, 1), (stride, 1), (dilation, 1))
    assert output_size(size, window, stride, dilation, (before, after)) == -(-size // stride)
    assert after - before in (0, 1)


@given(size=sizes, window=st.integers(1, 9), stride=st.integers(1, 5))
def test_same_pads_no_more_than_it_needs(size, window, stride):
    (before, after), _ = window_padding("same", (size, 1), (window, 1), (stride, 1))
    if before + after:
        assert output_size(size, window, stride, 1, (before, after - 1)) < -(-size // stride)


@pytest.mark.parametrize(("size", "window", "stride", "expected"), [
    (32, 3, 1, (1, 1)), (32, 3, 2, (0, 1)), (33, 3, 2, (1, 1)), (224, 7, 2, (2, 3)), (5, 1, 2, (0, 0)),
    (4, 2, 1, (0, 1)),
])
def test_known_paddings(size, window, stride, expected):
    assert window_padding("same", (size, size), (window, window), (stride, stride)) == (expected, expected)


def test_valid_pads_nothing():
    assert window_padding("valid", (7, 8), (3, 3), (2, 2)) == ((0, 0), (0, 0))
