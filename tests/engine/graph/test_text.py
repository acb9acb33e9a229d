"""Graph text: stable, complete, and the same for the same graph."""

from __future__ import annotations

import numpy as np
import pytest

from engine.autodiff import gradients
from engine.graph.ir import Graph, GraphBuilder
from engine.graph.text import neighbourhood, print_graph
from engine.types import Batch, Type

B = Batch()


def small() -> Graph:
    """A layer, a loss and the gradient of its kernel."""
    b = GraphBuilder("training")
    x, target = b.input("image", Type((B, 4))), b.input("target", Type((B, 3)))
    kernel, bias = b.parameter("dense/kernel", Type((4, 3))), b.parameter("dense/bias", Type((3,)))
    b.origin = "dense"
    y = b.op("relu", b.op("add", b.op("matmul", x, kernel), bias))
    b.origin = "dropout"
    y = b.op("dropout", y, rate=0.25, stream=0)
    b.origin = "loss"
    difference = b.op("subtract", y, target)
    loss = b.op("reduce_mean", b.op("square", difference), axes=(0, 1))
    (grad,) = gradients(b, loss, [kernel])
    return b.finish(loss=loss, grad=grad)


GOLDEN = """\
graph training(image: f32[B,4], target: f32[B,3]) {
  param dense/kernel: f32[4,3]
  param dense/bias: f32[3]
  const $0: f32[] = 1.0
  %0: f32[B,3] = matmul(image, dense/kernel)  # dense
  %1: f32[B,3] = add(%0, dense/bias)  # dense
  %2: f32[B,3] = relu(%1)  # dense
  %3: f32[B,3] = dropout(%2, @state) rate=0.25 stream=0  # dropout
  %4: f32[B,3] = subtract(%3, target)  # loss
  %5: f32[B,3] = square(%4)  # loss
  %6: f32[] = reduce_mean(%5) axes=(0, 1)  # loss
"""


def test_the_text_shows_everything_a_graph_is():
    shown = print_graph(small())
    assert shown.startswith(GOLDEN)
    assert shown.splitlines()[-1] == "}"
    assert shown.splitlines()[-2].startswith("  return loss=%6, grad=%")
    assert "relu_grad(%2, " in shown


def test_a_graph_built_again_has_the_same_text():
    assert print_graph(small()) == print_graph(small())


def test_several_outputs_and_integer_types():
    b = GraphBuilder("pool")
    y, chosen = b.apply("max_pool2d", b.input("x", Type((B, 4, 4, 3))), pool=(2, 2), strides=(2, 2))
    graph = b.finish(y=y, chosen=chosen)
    assert print_graph(graph).splitlines()[1:-1] == [
        "  %0: f32[B,2,2,3], %1: u8[B,2,2,3] = max_pool2d(x) pool=(2, 2) strides=(2, 2)",
        "  return y=%0, chosen=%1",
    ]


def test_an_effect_has_no_result():
    b = GraphBuilder("assign")
    weight = b.parameter("w", Type((2,)))
    b.apply("assign", weight, b.constant([1.0, 2.0]))
    assert "  () = assign(w, $0)" in print_graph(b.finish()).splitlines()


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (np.float32(0.1), "0.1"),
        (np.arange(4, dtype="float32"), "[0.0, 1.0, 2.0, 3.0]"),
        (np.arange(100, dtype="float32"), "[0, 1, 2, … 100]"),
    ],
)
def test_long_constants_are_cut_short(data, shown):
    b = GraphBuilder("constants")
    text = print_graph(b.finish(y=b.op("square", b.constant(data))))
    (line,) = (line for line in text.splitlines() if line.lstrip().startswith("const"))
    assert line.split(" = ")[1].startswith(shown)


def test_the_neighbourhood_is_ten_lines_with_a_mark_in_front_of_the_node():
    b = GraphBuilder("chain")
    x = b.input("x", Type((B,)))
    for _ in range(30):
        x = b.op("square", x)
    graph = b.finish(y=x)
    for position in (0, 4, 17, 29):
        shown = neighbourhood(graph, position).splitlines()
        assert 5 <= len(shown) <= 10
        (marked,) = (line for line in shown if line.startswith(">"))
        assert marked == f"> %{position}: f32[B] = square({f'%{position - 1}' if position else 'x'})"
