"""Graphs by hand: traced, fed and fetched anywhere."""

from __future__ import annotations

import numpy as np
import pytest

from engine import eager, static
from engine.errors import EngineError
from engine.graph.ir import GraphBuilder
from engine.types import Batch, Type
from tests.engine.lowered import same_bits

X = np.random.default_rng(0).standard_normal((5, 3)).astype("float32")
W = np.random.default_rng(1).standard_normal((3, 2)).astype("float32")


def graph_by_hand():
    b = GraphBuilder("by hand")
    x, w = b.input("x", Type((Batch(), 3))), b.parameter("w", Type((3, 2)))
    product = b.op("matmul", x, w)
    unused = b.input("unused", Type((Batch(), 2)))
    return b.finish(y=b.op("relu", product), sum=b.op("add", product, unused)), product


def test_any_value_can_be_fetched_and_what_is_not_needed_is_not_asked_for():
    graph, product = graph_by_hand()
    with static.Session(graph, {"w": W}, threads=1) as session:
        y, found, weights, fed = session.run({"x": X}, fetch=["y", product, "w", "x"])
        assert same_bits(found, (eager.tensor(X) @ eager.tensor(W)).numpy())
        np.testing.assert_array_equal(y, np.maximum(found, 0))
        assert same_bits(weights, W) and same_bits(fed, X)
        assert same_bits(session.run({"x": X}, fetch="%0"), found)


def test_any_value_can_be_fed_in_place_of_what_computes_it():
    graph, product = graph_by_hand()
    instead = np.array([[-1, 2]], "float32")
    with static.Session(graph, {"w": W}, threads=1) as session:
        for name in (product, "%0"):
            np.testing.assert_array_equal(session.run({name: instead}, fetch="y"), [[0, 2]])
            assert same_bits(session.run({name: instead}, fetch=product), instead)
        total = session.run({"%0": instead, "unused": instead}, fetch="sum")
        np.testing.assert_array_equal(total, 2 * instead)


def test_a_session_takes_batches_of_any_size():
    graph, _ = graph_by_hand()
    with static.Session(graph, {"w": W}, threads=1) as session:
        whole = session.run({"x": X}, fetch="y")
        for count in (1, 4, 5, 2):
            assert same_bits(session.run({"x": X[:count]}, fetch="y"), whole[:count])
        assert session.run({"x": np.repeat(X, 9, 0)}, fetch="y").shape == (45, 2)


@pytest.mark.parametrize(("feeds", "fetch", "words"), [
    ({}, "y", "expected x too, which the fetches need, received none"),
    ({"x": X}, "sum", "expected unused too"),
    ({"x": X}, "z", "fetch: expected a value of the graph or its name: y, sum, %0, …, received 'z'"),
    ({"z": X}, "y", "feed: expected a value of the graph or its name: x, unused, %0, …, received 'z'"),
    ({"x": X[:, :2]}, "y", "feed x: expected float32 of shape (any, 3), received float32 of shape (5, 2)"),
    ({"x": X.astype("int32")}, "y", "received int32"),
    ({"x": X[0]}, "y", "received float32 of shape (3,)"),
    ({"x": X[:0]}, "y", "at least one example"),
    ({"x": X, "unused": X[:2, :2]}, "sum", "the same number of examples in all"),
    ({"x": X}, 3, "received 3"),
    ({"x": "text"}, "y", "expected numbers"),
])
def test_errors_say_what_was_expected_and_received(feeds, fetch, words):
    graph, _ = graph_by_hand()
    with static.Session(graph, {"w": W}, threads=1) as session, pytest.raises(EngineError) as error:
        session.run(feeds, fetch=fetch)
    assert words in str(error.value)


@pytest.mark.parametrize("weights", [{}, {"w": W.T}])
def test_weights_must_fit(weights):
    with pytest.raises(eager.Misuse, match=r"parameter w: expected f32\[3,2\], received"):
        static.Session(graph_by_hand()[0], weights)


def test_a_graph_reads_the_weights_as_they_are_when_it_runs():
    eager.seed(0)
    dense = eager.layer("Dense", units=2)
    with static.Session(static.trace(dense, static.input((None, 3))), threads=1) as session:
        assert same_bits(session.run({"x0": X}), dense(X).numpy())
        dense.weights["dense/kernel"].assign(W)
        assert same_bits(session.run({"x0": X}), dense(X).numpy())


def test_tensors_inside_a_function_are_weights_or_constants():
    w = eager.parameter(W, "w")
    graph = static.trace(lambda x: (x @ w + eager.tensor([1.0, 2.0])) * 2, x=static.input((None, 3)))
    assert [value.name for value in graph.graph.parameters] == ["w"]
    with static.Session(graph, threads=1) as session:
        assert same_bits(session.run({"x": X}), ((eager.tensor(X) @ w + [1.0, 2.0]) * 2).numpy())


def test_random_ops_draw_anew_in_each_run():
    eager.seed(0)
    dropout = eager.layer("Dropout", rate=0.5)
    with eager.training():
        graph = static.trace(dropout, static.input((None, 100)))
        with static.Session(graph, seed=3, threads=1) as session:
            first, second = (session.run({"x0": np.ones((2, 100))}) for _ in range(2))
        eager.seed(3)
        again = eager.layer("Dropout", rate=0.5)
        assert same_bits(again(np.ones((2, 100))).numpy(), first)
        assert same_bits(again(np.ones((2, 100))).numpy(), second) and not same_bits(first, second)


@pytest.mark.parametrize(("function", "words"), [
    (lambda x: x if x.sum() > 0 else -x, "expected a tensor: a graph's values have no numbers"),
    (lambda x: x[1:], "all of an open batch"),
    (lambda x: eager.matmul(x, np.ones((2, 2))), "3 rows"),
    (lambda x: eager.gradients(x, [x])[0], r"a loss of one number"),
    (lambda x: eager.reduce_sum(x, axes=(2,)), "axes from -2 to 1"),
])
def test_what_cannot_be_traced_is_refused(function, words):
    with pytest.raises(eager.Misuse) as misuse:
        static.trace(function, static.input((None, 3)))
    assert words in str(misuse.value)


def test_types_of_inputs_are_checked():
    with pytest.raises(eager.Misuse, match="None only in front"):
        static.input((3, None))
    with pytest.raises(eager.Misuse, match=r"as static\.input gives it"):
        static.trace(lambda x: x, x=(None, 3))  # type: ignore[arg-type]
    one = static.trace(lambda x: x, static.input((2,)))
    assert str(one).startswith("graph ")
