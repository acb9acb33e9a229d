"""Reverse-mode differentiation through whole graphs: shared values, branches, what is not reached."""

from __future__ import annotations

import numpy as np

from engine.autodiff import gradients
from engine.graph.interpret import interpret
from engine.graph.ir import GraphBuilder, Value
from engine.graph.verify import verify
from engine.types import Type

X = np.array([0.3, -1.2, 2.0])


def scalar(b: GraphBuilder, value: Value) -> Value:
    return b.op("reduce_sum", value, axes=(0,))


def start() -> tuple[GraphBuilder, Value]:
    b = GraphBuilder("autodiff")
    return b, b.input("x", Type((3,), "float64"))


def gradient(b: GraphBuilder, loss: Value, x: Value) -> np.ndarray:
    (grad,) = gradients(b, loss, [x])
    graph = b.finish(grad=grad)
    verify(graph)
    return interpret(graph, {"x": X})["grad"]


def test_gradients_of_a_value_used_often_are_added():
    b, x = start()
    loss = scalar(b, b.op("multiply", b.op("multiply", x, x), x))
    np.testing.assert_allclose(gradient(b, loss, x), 3 * X**2)


def test_a_value_used_by_several_branches():
    b, x = start()
    shared = b.op("exp", x)
    loss = scalar(b, b.op("add", b.op("multiply", shared, x), b.op("square", shared)))
    np.testing.assert_allclose(gradient(b, loss, x), np.exp(X) * (X + 1) + 2 * np.exp(2 * X))


def test_a_node_that_reads_one_value_twice():
    b, x = start()
    np.testing.assert_allclose(gradient(b, scalar(b, b.op("subtract", x, x)), x), np.zeros(3))


def test_shared_weights_get_one_gradient():
    b, x = start()
    w = b.parameter("w", Type((3,), "float64"))
    loss = scalar(b, b.op("multiply", b.op("tanh", b.op("multiply", x, w)), w))
    grads = gradients(b, loss, [w, x])
    w_value = np.array([0.5, 1.5, -0.7])
    results = interpret(b.finish(w=grads[0], x=grads[1]), {"x": X}, {"w": w_value})
    inner = np.tanh(X * w_value)
    np.testing.assert_allclose(results["w"], inner + w_value * (1 - inner**2) * X)
    np.testing.assert_allclose(results["x"], w_value**2 * (1 - inner**2))


def test_what_the_loss_does_not_depend_on_gets_zeros():
    b, x = start()
    other = b.parameter("other", Type((2, 2), "float64"))
    b.op("square", other)
    loss = scalar(b, b.op("square", x))
    (grad,) = gradients(b, loss, [other])
    results = interpret(b.finish(grad=grad), {"x": X}, {"other": np.ones((2, 2))})
    np.testing.assert_array_equal(results["grad"], np.zeros((2, 2)))


def test_a_gradient_ends_where_the_graph_says_so():
    b, x = start()
    loss = scalar(b, b.op("multiply", b.op("stop_gradient", b.op("square", x)), x))
    np.testing.assert_allclose(gradient(b, loss, x), X**2)


def test_the_gradient_of_the_loss_itself_is_one():
    b, x = start()
    loss = scalar(b, x)
    np.testing.assert_array_equal(gradient(b, loss, loss), 1.0)


def test_only_nodes_on_the_way_to_what_is_wanted_are_differentiated():
    b, x = start()
    w = b.parameter("w", Type((3,), "float64"))
    loss = scalar(b, b.op("multiply", b.op("exp", b.op("exp", x)), w))
    before = len(b.nodes)
    gradients(b, loss, [w])
    # The product's other gradient is left over; the dead pass takes it. The exponentials are not gone through.
    assert [node.op.name for node in b.nodes[before:]] == ["broadcast", "multiply", "multiply"]


def test_gradient_nodes_carry_the_layer_they_belong_to():
    b, x = start()
    b.origin = "first"
    y = b.op("tanh", x)
    b.origin = "second"
    loss = scalar(b, b.op("square", y))
    before = len(b.nodes)
    gradients(b, loss, [x])
    origins = [node.origin for node in b.nodes[before:]]
    assert origins == sorted(origins, reverse=True)
    assert set(origins) == {"first", "second"}


def test_gradients_are_themselves_differentiable():
    b, x = start()
    (first,) = gradients(b, scalar(b, b.op("multiply", b.op("square", x), x)), [x])
    np.testing.assert_allclose(gradient(b, scalar(b, first), x), 6 * X)
