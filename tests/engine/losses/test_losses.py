"""Losses against their formulas in float64. Agreement with Keras is tests/parity's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import registry
from engine.autodiff import gradients
from engine.graph.interpret import interpret
from engine.graph.ir import GraphBuilder
from engine.losses.target import Target, per_example
from engine.options import read_entry
from engine.types import Batch, Type

EPSILON = 1e-7


def run(options, target, output, *, function=None, gradient=False):
    """The loss of each example; `function` is an op that ends the model."""
    b = GraphBuilder("loss")
    t = b.input("t", Type((Batch(), *target.shape[1:]), str(target.dtype)))
    x = b.input("x", Type((Batch(), *output.shape[1:])))
    end = b.op(function, x) if function else x
    loss = per_example(b, read_entry("loss", options, "").values(b, t, end))
    assert loss.shape == (Batch(),)
    outputs = {"loss": loss}
    if gradient:
        (outputs["gradient"],) = gradients(b, b.op("reduce_sum", loss, axes=(0,)), [x])
    return interpret(b.finish(**outputs), {"t": target, "x": output})


def draw(*shape, seed=3):
    return np.random.default_rng(seed).standard_normal(shape)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


CODES = np.array([0, 2, 1, 2], np.int32)
ONE_HOT = np.eye(3)[CODES]
X = draw(4, 3)


@pytest.mark.parametrize(("options", "output", "function"), [
    ({"from_logits": True}, X, None), ({}, softmax(X), None), ({}, X, "softmax"),
])
def test_sparse_categorical_crossentropy(options, output, function):
    loss = run({"type": "SparseCategoricalCrossentropy", **options}, CODES, output, function=function)["loss"]
    np.testing.assert_allclose(loss, -np.log(softmax(X)[np.arange(4), CODES]), rtol=1e-6)


@pytest.mark.parametrize("target", [CODES, ONE_HOT])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("options", "output", "function"), [
    ({"from_logits": True}, X, None), ({}, softmax(X), None), ({}, 2 * softmax(X), None), ({}, X, "softmax"),
])
def test_categorical_crossentropy(target, smoothing, options, output, function):
    smooth = ONE_HOT * (1 - smoothing) + smoothing / 3
    options = {"type": "CategoricalCrossentropy", "label_smoothing": smoothing, **options}
    loss = run(options, target, output, function=function)["loss"]
    np.testing.assert_allclose(loss, -(smooth * np.log(softmax(X))).sum(-1), rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(("options", "function"), [({"from_logits": True}, None), ({}, "sigmoid")])
def test_binary_crossentropy_of_two_classes(smoothing, options, function):
    codes = np.array([0, 1, 1, 0], np.int32)
    x = draw(4, 1) * 3
    z, p = codes[:, None] * (1 - smoothing) + smoothing / 2, sigmoid(x)
    options = {"type": "BinaryCrossentropy", "label_smoothing": smoothing, **options}
    expected = -(z * np.log(p) + (1 - z) * np.log(1 - p))[:, 0]
    np.testing.assert_allclose(run(options, codes, x, function=function)["loss"], expected, rtol=1e-6)


def test_binary_crossentropy_clips_probabilities_and_averages_units():
    p = np.array([[0.0, 0.25], [1.0, 0.5]])
    z = np.array([[1.0, 0.0], [1.0, 1.0]])
    q = p.clip(EPSILON, 1 - EPSILON)
    expected = -(z * np.log(q) + (1 - z) * np.log(1 - q)).mean(-1)
    np.testing.assert_allclose(run({"type": "BinaryCrossentropy"}, z, p)["loss"], expected, rtol=1e-9)


def test_binary_crossentropy_of_one_hot_units():
    loss = run({"type": "BinaryCrossentropy", "from_logits": True}, CODES, X)["loss"]
    p = sigmoid(X)
    np.testing.assert_allclose(loss, -(ONE_HOT * np.log(p) + (1 - ONE_HOT) * np.log(1 - p)).mean(-1), rtol=1e-6)


@pytest.mark.parametrize("logit", [-500.0, 500.0])
def test_large_logits_stay_finite(logit):
    x = np.array([[logit]], np.float32)
    for code in (0, 1):
        found = run({"type": "BinaryCrossentropy", "from_logits": True}, np.array([code], np.int32), x, gradient=True)
        assert np.isfinite(found["loss"]).all() and np.isfinite(found["gradient"]).all()
        assert found["loss"][0] == (500 if (logit > 0) != code else 0)


@given(error=st.floats(-5, 5), delta=st.floats(0.1, 3))
def test_huber(error, delta):
    loss = run({"type": "Huber", "delta": delta}, np.array([[error]]), np.zeros((1, 1)))["loss"][0]
    size = abs(error)
    expected = error**2 / 2 if size <= delta else delta * size - delta**2 / 2
    assert loss == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_means_run_over_all_dimensions_of_an_example():
    t, x = draw(3, 4, 5), draw(3, 4, 5, seed=4)
    np.testing.assert_allclose(run({"type": "MeanSquaredError"}, t, x)["loss"], ((t - x) ** 2).mean((1, 2)))
    np.testing.assert_allclose(run({"type": "MeanAbsoluteError"}, t, x)["loss"], np.abs(t - x).mean((1, 2)))


@pytest.mark.parametrize(("options", "target", "function"), [
    ({"type": "SparseCategoricalCrossentropy", "from_logits": True}, CODES, None),
    ({"type": "SparseCategoricalCrossentropy"}, CODES, "softmax"),
    ({"type": "CategoricalCrossentropy", "label_smoothing": 0.1, "from_logits": True}, ONE_HOT, None),
    ({"type": "BinaryCrossentropy", "label_smoothing": 0.1}, ONE_HOT, "sigmoid"),
    ({"type": "MeanSquaredError"}, draw(4, 3, seed=8), None),
    ({"type": "MeanAbsoluteError"}, draw(4, 3, seed=8), None),
    ({"type": "Huber", "delta": 0.7}, draw(4, 3, seed=8), None),
])
def test_gradients_are_those_of_finite_differences(options, target, function):
    found = run(options, target, X, function=function, gradient=True)["gradient"]
    direction = draw(4, 3, seed=9)
    step = 1e-6
    ends = [run(options, target, X + sign * step * direction, function=function)["loss"].sum() for sign in (1, -1)]
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx((found * direction).sum(), rel=1e-5)


P, Q = softmax(X), sigmoid(X)
POSITIVE = np.abs(draw(4, 3, seed=8)) + 0.1


@pytest.mark.parametrize(("options", "target", "output"), [
    ({"type": "MeanAbsolutePercentageError"}, POSITIVE, X), ({"type": "MeanSquaredLogarithmicError"}, POSITIVE, P),
    ({"type": "LogCosh"}, POSITIVE, X), ({"type": "Poisson"}, POSITIVE, P), ({"type": "CosineSimilarity"}, POSITIVE, X),
    ({"type": "Hinge"}, ONE_HOT, X / 4), ({"type": "SquaredHinge"}, POSITIVE, X / 4),
    ({"type": "CategoricalHinge"}, CODES, X),
    ({"type": "KLDivergence"}, POSITIVE / 4, P), ({"type": "BinaryFocalCrossentropy"}, ONE_HOT, Q),
    ({"type": "BinaryFocalCrossentropy", "gamma": 0.5, "apply_class_balancing": True}, ONE_HOT, Q),
    ({"type": "CategoricalFocalCrossentropy", "label_smoothing": 0.1}, CODES, P),
    ({"type": "CategoricalFocalCrossentropy", "from_logits": True, "gamma": 1.7}, ONE_HOT, X),
    ({"type": "CategoricalGeneralizedCrossEntropy"}, CODES, P),
    ({"type": "Dice", "axis": -1}, ONE_HOT, Q), ({"type": "Tversky", "axis": 1, "alpha": 0.3}, ONE_HOT, Q),
    ({"type": "SparseCategoricalCrossentropy", "ignore_class": 2, "from_logits": True}, CODES, X),
])
def test_gradients_of_the_other_losses(options, target, output):
    found = run(options, target, output, gradient=True)["gradient"]
    direction, step = draw(4, 3, seed=9), 1e-7
    ends = [run(options, target, output + sign * step * direction)["loss"].sum() for sign in (1, -1)]
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx((found * direction).sum(), rel=1e-5)


def total(options, target, output, weight=None, mask=None):
    b = GraphBuilder("total")
    given = {"t": target, "x": output, "w": weight, "m": mask}
    fed = {name: b.input(name, Type((Batch(), *array.shape[1:]), str(array.dtype)))
           for name, array in given.items() if array is not None}
    whole = read_entry("loss", options, "").total(b, fed["t"], fed["x"], fed.get("w"), fed.get("m"))
    return float(interpret(b.finish(loss=whole), {name: given[name] for name in fed})["loss"])


TRUE, SAID, W = draw(3, 4, 2), draw(3, 4, 2, seed=5), np.array([1.0, 0.5, 2.0])
M = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], float)
E = ((TRUE - SAID) ** 2).mean(-1)


@pytest.mark.parametrize(("reduction", "weight", "mask", "expected"), [
    ("sum_over_batch_size", None, None, E.mean()), ("mean", W, None, (E * W[:, None]).mean()),
    ("sum", None, None, E.sum()),
    ("sum", W, M, (E * W[:, None] * M).sum()), ("mean", None, M, E[M > 0].mean()),
    ("sum_over_batch_size", W, M, (E * W[:, None])[M > 0].sum() / M.sum()),
    ("mean_with_sample_weight", W, None, (E * W[:, None]).sum() / (W.sum() * 4)),
    ("mean_with_sample_weight", W, M, (E * W[:, None] * M).sum() / (W[:, None] * M).sum()),
    ("mean", None, 0 * M, 0.0),
])
def test_reductions_with_weights_and_masks(reduction, weight, mask, expected):
    options = {"type": "MeanSquaredError", "reduction": reduction}
    assert total(options, TRUE, SAID, weight, mask) == pytest.approx(expected, rel=1e-9)


def test_what_a_mask_leaves_out_may_be_nan():
    output = np.where(M[..., None] > 0, SAID, np.nan)
    assert total({"type": "MeanSquaredError"}, TRUE, output, None, M) == pytest.approx(E[M > 0].mean(), rel=1e-9)


@pytest.mark.parametrize("name", registry.entries("loss"))
def test_every_loss_says_which_targets_and_outputs_fit(name):
    loss = read_entry("loss", {"type": name}, "")
    assert loss.wants in loss.accepts
    for target in (Target("classes", 2, ()), Target("classes", 7, ()), Target("numeric", None, (3,))):
        if target.kind in loss.accepts:
            shapes = loss.expected_outputs(target)
            assert shapes and all(min(shape) >= 1 for shape in shapes)
