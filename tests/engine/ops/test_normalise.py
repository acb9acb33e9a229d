"""The sums of normalisations over random shapes, and where float32 is close to its limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.lowered import WHOLE, Division, lowered
from tests.engine.ops.checks import check

ROWS = st.one_of(st.integers(1, 40), st.sampled_from([511, 512, 513, 1031, 2049, 5003]))
CHANNELS = st.one_of(st.integers(1, 40), st.sampled_from([63, 65, 127, 500, 512, 513, 1000, 1031]))
FEW = (WHOLE, Division(4, single=True, backwards=True))


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, channels=CHANNELS, seed=st.integers(0, 99))
def test_batch_norm_of_any_shape(rows: int, channels: int, seed: int):
    random = np.random.default_rng(seed)
    shape = (rows, channels)
    x, g = (random.standard_normal(shape, np.float32) for _ in range(2))
    x += 1  # a mean that happens to be 0 has the rounding errors of its terms, not of itself
    gamma, beta = (random.standard_normal(channels).astype("float32") for _ in range(2))
    _, mean, variance = check("batch_norm", [x, gamma, beta], {"epsilon": 1e-3}, divisions=FEW, tolerance=1e-5)
    check("batch_norm_grad", [g, x, gamma, mean, variance], {"epsilon": 1e-3}, divisions=FEW, tolerance=2e-5)


@pytest.mark.parametrize("channels", [1, 16, 17, 700])
def test_a_variance_far_smaller_than_the_mean_keeps_its_digits(channels: int):
    """E[x^2] - E[x]^2 would leave none: its terms are 1e6, their difference 1e-2."""
    x = (1000 + 0.1 * np.random.default_rng(0).standard_normal((3000, channels))).astype("float32")
    node = lowered("batch_moments", [x, np.ones(channels, np.float32)], {"epsilon": 1e-3})
    mean, variance, _ = node.run([x, np.ones(channels, np.float32)])
    exact = x.astype("float64")
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(variance, exact.var(0), rtol=2e-3)


def test_nan_stays_in_its_channel():
    x = np.random.default_rng(0).standard_normal((600, 19)).astype("float32")
    x[77, 5] = np.nan
    outputs = lowered("batch_norm", [x, np.ones(19, np.float32), np.zeros(19, np.float32)],
                      {"epsilon": 1e-3}).run([x, np.ones(19, np.float32), np.zeros(19, np.float32)])
    for output in outputs:
        assert np.isnan(output[..., 5]).all() and np.isfinite(np.delete(output, 5, axis=-1)).all()


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, width=CHANNELS, centered=st.booleans(), seed=st.integers(0, 99))
def test_row_norm_of_any_shape(rows: int, width: int, centered: bool, seed: int):
    random = np.random.default_rng(seed)
    x, g = (random.standard_normal((rows, width), np.float32) for _ in range(2))
    gamma, beta = (random.standard_normal(width).astype("float32") for _ in range(2))
    attrs = {"epsilon": 1e-3, "centered": centered}
    _, mean, inverse = check("row_norm", [x, gamma, beta], attrs, divisions=FEW, tolerance=1e-5)
    if width > 3:  # in shorter rows next to nothing is left of the gradient: the conformance tests' samples have them
        check("row_norm_grad", [g, x, gamma, mean, inverse], attrs, divisions=FEW, tolerance=2e-5)
