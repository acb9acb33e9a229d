from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import registry
from engine.errors import DefinitionError
from engine.initializers.base import Initializer
from engine.initializers.variance_scaling import compute_fans
from engine.options import entry, parse

SHAPE = (3, 3, 24, 40)
ENTRIES = registry.entries("initializer")


def read(document) -> Initializer:
    return parse(entry("initializer"), document, "/initializer")


def known() -> dict[str, Initializer]:
    return {name: cls() for name, cls in ENTRIES.items()}


@pytest.mark.parametrize(("shape", "fans"), [
    ((), (1, 1)),
    ((7,), (7, 7)),
    ((5, 9), (5, 9)),
    ((3, 3, 16, 32), (144, 288)),
    ((5, 5, 16, 1), (400, 25)),  # a depthwise kernel, counted as Keras counts it
    ((4, 3, 2), (12, 8)),
])
def test_fans_are_counted_as_keras_counts_them(shape, fans):
    assert compute_fans(shape) == fans


def test_fans_of_named_axes():
    assert compute_fans((2, 3, 4, 5), input_axes=[0, 1], output_axes=[-1]) == (6, 5)


# fan_in 216, fan_out 360, mean 288 for SHAPE.
@pytest.mark.parametrize(("name", "limit"), [
    ("GlorotUniform", (3 / 288) ** 0.5), ("HeUniform", (6 / 216) ** 0.5), ("LecunUniform", (3 / 216) ** 0.5),
    ("RandomUniform", 0.05),
])
def test_uniform_values_fill_their_range(name, limit):
    values = read(name)(SHAPE, 1)
    assert np.abs(values).max() <= limit * (1 + 1e-6)
    assert values.max() > 0.99 * limit and values.min() < -0.99 * limit
    assert values.std() == pytest.approx(limit / 3**0.5, rel=0.03)
    assert abs(values.mean()) < 4 * values.std() / values.size**0.5


@pytest.mark.parametrize(("name", "stddev"), [
    ("GlorotNormal", (1 / 288) ** 0.5), ("HeNormal", (2 / 216) ** 0.5), ("LecunNormal", (1 / 216) ** 0.5),
])
def test_truncated_values_have_the_asked_spread_after_truncation(name, stddev):
    values = read(name)(SHAPE, 2)
    assert values.std() == pytest.approx(stddev, rel=0.03)
    assert np.abs(values).max() <= 2 * stddev / 0.87962566103423978 * (1 + 1e-6)
    assert abs(values.mean()) < 4 * values.std() / values.size**0.5


def test_plain_normals():
    values = read({"type": "RandomNormal", "mean": 3.0, "stddev": 0.5})((100, 100), 3)
    assert values.mean() == pytest.approx(3.0, abs=0.02) and values.std() == pytest.approx(0.5, rel=0.03)
    assert np.abs(values - 3.0).max() > 1.5
    cut = read({"type": "TruncatedNormal", "mean": 3.0, "stddev": 0.5})((100, 100), 3)
    assert np.abs(cut - 3.0).max() <= 1.0 + 1e-6 and cut.std() == pytest.approx(0.5 * 0.8796, rel=0.03)


@pytest.mark.parametrize(("mode", "units"), [("fan_in", 216), ("fan_out", 360), ("fan_avg", 288)])
@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform", "normal", "Uniform"])
def test_variance_scaling_gives_its_variance(mode, units, distribution):
    values = read({"type": "VarianceScaling", "scale": 1.5, "mode": mode, "distribution": distribution})(SHAPE, 4)
    assert values.var() == pytest.approx(1.5 / units, rel=0.05)


def test_constants():
    assert not read("zeros")((2, 3), 0).any()
    assert (read("ones")((2, 3), 0) == 1).all()
    assert (read({"type": "Constant", "value": 0.25})((2, 3), 0) == 0.25).all()
    assert np.array_equal(read({"type": "Identity", "gain": 2})((2, 3), 0), [[2, 0, 0], [0, 2, 0]])


@pytest.mark.parametrize("shape", [(8, 8), (20, 8), (8, 20), (3, 3, 4, 8), (2, 2, 3, 40)])
def test_orthogonal_matrices(shape):
    values = read({"type": "Orthogonal", "gain": 2.0})(shape, 5).reshape(-1, shape[-1]).astype(np.float64)
    rows, columns = values.shape
    product = values.T @ values if rows >= columns else values @ values.T
    np.testing.assert_allclose(product, 4.0 * np.eye(min(rows, columns)), atol=1e-6)


def test_orthogonal_matrices_have_no_preferred_sign():
    # Without the signs of r, Householder's q has a diagonal that leans to one side.
    diagonals = np.concatenate([np.diag(read("Orthogonal")((6, 6), seed)) for seed in range(100)])
    assert abs(np.sign(diagonals).mean()) < 0.15


@pytest.mark.parametrize("name", ENTRIES)
def test_values_are_float32_of_the_shape_and_a_function_of_the_seed(name):
    initializer = known()[name]
    shape = (6, 1, 4) if name == "STFT" else (6, 4)
    first, again, other = initializer(shape, 11), initializer(shape, 11), initializer(shape, 12)
    assert first.dtype == np.float32 and first.shape == shape and first.flags.c_contiguous
    assert first.tobytes() == again.tobytes()
    random = hasattr(initializer, "seed")
    assert (first.tobytes() == other.tobytes()) is not random


@pytest.mark.parametrize("name", [name for name, cls in ENTRIES.items() if hasattr(cls, "seed")])
def test_an_own_seed_takes_the_place_of_the_jobs(name):
    fixed = read({"type": name, "seed": 7})
    assert fixed((4, 4), 1).tobytes() == fixed((4, 4), 2).tobytes() == known()[name]((4, 4), 7).tobytes()


def test_the_stream_is_the_one_that_earlier_versions_drew():
    # A change here changes every model trained from now on: it asks for a new engine version.
    np.testing.assert_array_equal(read("glorot_uniform")((2, 2), 0), GOLDEN_UNIFORM)
    np.testing.assert_array_equal(read("he_normal")((2, 2), 0), GOLDEN_NORMAL)


GOLDEN_UNIFORM = np.array([[-1.1396451, -1.19646132], [0.274220943, -0.633072615]], np.float32)
GOLDEN_NORMAL = np.array([[0.068109699, 0.017688928], [-1.323788643, -0.150799528]], np.float32)


@pytest.mark.parametrize("alias", [
    "zeros", "zero", "ones", "one", "constant", "random_uniform", "uniform", "random_normal", "normal",
    "truncated_normal", "variance_scaling", "glorot_uniform", "glorot_normal", "he_uniform", "he_normal",
    "lecun_uniform", "lecun_normal", "orthogonal", "OrthogonalInitializer", "identity", "IdentityInitializer",
])
def test_keras_short_names(alias):
    assert isinstance(read(alias), Initializer)


def test_keras_own_json():
    document = {"module": "keras.initializers", "class_name": "GlorotUniform", "config": {"seed": None},
                "registered_name": None}
    assert type(read(document)).__name__ == "GlorotUniform"


@pytest.mark.parametrize(("document", "pointer"), [
    ("GlorotUnifrom", "/initializer"),
    ({"type": "Zeros", "value": 1}, "/initializer/value"),
    ({"type": "RandomUniform", "minval": 1, "maxval": 0}, "/initializer/maxval"),
    ({"type": "RandomNormal", "stddev": -1}, "/initializer/stddev"),
    ({"type": "VarianceScaling", "scale": 0}, "/initializer/scale"),
    ({"type": "VarianceScaling", "mode": "fan"}, "/initializer/mode"),
    ({"type": "VarianceScaling", "distribution": 3}, "/initializer/distribution"),
    ({"type": "VarianceScaling", "input_axes": [0]}, "/initializer/output_axes"),
    ({"type": "HeNormal", "seed": -1}, "/initializer/seed"),
    ({"type": "Constant", "value": float("nan")}, "/initializer/value"),
])
def test_faults_point_at_their_place(document, pointer):
    with pytest.raises(DefinitionError) as caught:
        read(document)
    assert [fault.pointer for fault in caught.value.faults] == [pointer]


@pytest.mark.parametrize(("document", "shape"), [
    ("Orthogonal", (5,)), ("Identity", (2, 2, 2)),
    ({"type": "VarianceScaling", "input_axes": [3], "output_axes": [0]}, (2, 2)),
])
def test_a_shape_that_cannot_be_filled_is_said_before_and_refused(document, shape):
    initializer = read(document)
    assert "expected" in (initializer.fault(shape) or "")
    with pytest.raises(ValueError, match="expected"):
        initializer(shape, 0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=4).map(tuple), st.integers(0, 2**70),
       st.sampled_from(sorted(ENTRIES)))
def test_every_shape_and_seed_gives_finite_values(shape, seed, name):
    initializer = known()[name]
    if initializer.fault(shape) is None:
        values = initializer(shape, seed)
        assert values.shape == shape and np.isfinite(values).all()
