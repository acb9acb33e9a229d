"""Operators and indexing against numpy, and what a tensor is."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from engine import eager, static
from tests.engine.lowered import same_bits

X = np.random.default_rng(0).standard_normal((4, 5, 6)).astype("float32")
Y = np.abs(np.random.default_rng(1).standard_normal((5, 6))).astype("float32") + np.float32(0.5)

EXPRESSIONS = [
    lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y, lambda x, y: x / y, lambda x, y: -x,
    lambda x, y: abs(x), lambda x, y: 2 + x, lambda x, y: 2 - x, lambda x, y: 2 * x, lambda x, y: 2 / y,
    lambda x, y: x ** 2, lambda x, y: y ** 0.5, lambda x, y: 1.0 * (x > y), lambda x, y: 1.0 * (x >= 0),
    lambda x, y: 1.0 * (x < y), lambda x, y: 1.0 * (x <= 0),
    lambda x, y: x.reshape(20, 6), lambda x, y: x.reshape((4, -1)), lambda x, y: x.reshape(-1), lambda x, y: x.T,
    lambda x, y: x.transpose(1, 0, 2), lambda x, y: x.transpose((0, -1, 1)),
    lambda x, y: x.max(), lambda x, y: x.max(axis=(0, -1)), lambda x, y: x.max(axis=1, keepdims=True),
]
INDICES = [
    np.s_[0], np.s_[-1], np.s_[1:3], np.s_[:, 2], np.s_[..., -2], np.s_[1, 2, 3], np.s_[:, None], np.s_[1:3, ..., 2:],
    np.s_[::2], np.s_[::-1], np.s_[:, 4:0:-2], np.s_[None, ..., None], np.s_[-3:, 1:-1], np.s_[...], np.s_[:, :, 0:6],
    [2, 0, 2], np.array([[0, -1], [1, 1]]),
]


def text(expression) -> str:
    return inspect.getsource(expression).strip()[:40] if callable(expression) else repr(expression)


@pytest.mark.parametrize("place", range(len(EXPRESSIONS)))
def test_operators_are_numpys_in_tensors_and_in_graphs(place):
    expression = EXPRESSIONS[place]
    wanted = np.asarray(expression(X, Y), "float32")
    found = expression(eager.tensor(X), eager.tensor(Y))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6)
    graph = static.trace(expression, static.input(X.shape), static.input(Y.shape))
    with static.Session(graph, threads=1) as session:
        assert same_bits(session.run({"x": X, "y": Y}), found.numpy())


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_indexing_is_numpys_and_has_gradients(index):
    x = eager.parameter(X)
    found = x[index]
    assert same_bits(found.numpy(), np.array(X[index], order="C"))
    u = np.random.default_rng(2).standard_normal(X[index].shape).astype("float32")
    (found * u).sum().backward()
    wanted = np.zeros_like(X)
    np.add.at(wanted, index, u)
    np.testing.assert_allclose(x.grad.numpy(), wanted, rtol=1e-6)


@pytest.mark.parametrize(("index", "words"), [
    (np.s_[4], "from -4 to 3"), (np.s_[0, 0, 0, 0], "at most 3"), (np.s_[3:1], "at least one place"),
    (np.s_[0.5], "a number, a range"), (np.s_[..., ...], "at most one"), ([0, 9], "from -4 to 3"), ([0.5], "whole"),
    (np.array([True, False, True, False]), "whole numbers"), (True, "a number"),
])
def test_a_wrong_index_is_refused(index, words):
    with pytest.raises((eager.Misuse, IndexError)) as error:
        eager.tensor(X)[index]
    assert words in str(error.value)


def test_sums_and_products_are_numpys():
    x, y = eager.tensor(X), eager.tensor(Y)
    np.testing.assert_allclose(x.sum().numpy(), X.sum(), rtol=1e-5)
    np.testing.assert_allclose(x.mean(axis=1).numpy(), X.mean(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(x.sum(axis=(0, 2), keepdims=True).numpy(), X.sum((0, 2), keepdims=True), rtol=1e-5)
    np.testing.assert_allclose((y.T @ y).numpy(), Y.T @ Y, rtol=1e-5)
    np.testing.assert_allclose((x @ y.T).numpy(), X @ Y.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose((x @ x.transpose(0, 2, 1)).numpy(), X @ X.transpose(0, 2, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("given", "dtype"), [
    (1, "float32"), (2.5, "float32"), ([1, 2], "int32"), ([1.0, 2.0], "float32"), (np.zeros(2, "float64"), "float32"),
    (np.zeros(2, "int64"), "int32"), (np.zeros(2, "uint8"), "uint8"), (np.zeros(2, bool), "bool"),
    (np.zeros((2, 3)).T, "float32"), (np.zeros((0, 3), "int64"), "int32"),
])
def test_what_becomes_a_tensor(given, dtype):
    made = eager.tensor(given)
    assert made.dtype == dtype and made.shape == np.shape(given)
    assert (not made.data.size or made.data.ctypes.data % 64 == 0) and made.data.flags.c_contiguous
    np.testing.assert_array_equal(made.numpy(), given)


def test_a_tensor_keeps_its_own_numbers():
    array = np.ones(3, "float32")
    made = eager.tensor(array)
    array[0] = 5
    assert made.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="read-only"):
        made.numpy()[0] = 2
    with pytest.raises(AttributeError, match="cannot be set"):
        made.data = array
    assert np.asarray(made).sum() == 3 and float(made[0]) == 1 and len(made) == 3 and bool(made[0])
    with pytest.raises(eager.Misuse, match="one number"):
        made.item()


def test_print_shows_op_type_and_numbers():
    assert repr(eager.relu(np.array([-1.0, 2.0]))) == "Tensor(relu f32[2]: 0, 2)"
    assert repr(eager.tensor(np.zeros((3, 4)))) == "Tensor(f32[3,4]: 0, 0, 0, 0, 0, 0, … 12 numbers)"
    assert repr(eager.parameter(1.0, "w")) == "Tensor(w f32[]: 1)"


def test_tensors_are_compared_by_a_function():
    x = eager.tensor([1.0, 2.0])
    assert x == x and x != eager.tensor([1.0, 2.0]) and len({x, x}) == 1
    assert eager.equal(x, [1.0, 3.0]).tolist() == [1, 0]


@pytest.mark.parametrize(("call", "words"), [
    (lambda x: x.reshape(7, -1), "sizes that divide"), (lambda x: x.reshape(-1, -1), "one of them -1"),
    (lambda x: x @ 2.0, "a value on either side"), (lambda x: x ** x, "a number as the exponent"),
    (lambda x: x.sum(axis=3), "axes from -3 to 2"), (lambda x: x.assign(x), "a parameter"),
    (lambda x: x + np.ones(7), "broadcast"),
])
def test_misuse_says_what_was_expected(call, words):
    with pytest.raises(eager.Misuse, match=words):
        call(eager.tensor(X))
