"""Batch normalisation split up, fused and partly recomputed: the graph's text, and the bits that must not change."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engine.autodiff import gradients
from engine.graph.interpret import interpret
from engine.graph.ir import Graph, GraphBuilder, Value
from engine.lowering.plan import compile_plan
from engine.passes.dead import eliminate_dead
from engine.passes.fuse import fuse_chains
from engine.passes.norms import split_norms
from engine.passes.pipeline import PASSES
from engine.passes.recompute import recompute
from engine.runtime.session import Session
from engine.runtime.threads import Workers
from engine.types import Batch, Type
from tests.engine.passes.test_golden import lines, text

Between = Callable[[GraphBuilder, Value, Value], Value]


def trained(between: Between, channels: int = 4) -> Graph:
    """sum(between(batch_norm(x)) * w) and its gradients by x, gamma and beta."""
    b = GraphBuilder("norm")
    x, w = (b.input(name, Type((Batch(), 6, channels))) for name in ("x", "w"))
    gamma, beta = (b.parameter(name, Type((channels,))) for name in ("gamma", "beta"))
    normal = b.apply("batch_norm", x, gamma, beta, epsilon=1e-3)[0]
    y = between(b, normal, x)
    loss = b.op("reduce_sum", b.op("multiply", y, w), axes=(0, 1, 2))
    dx, dgamma, dbeta = gradients(b, loss, [x, gamma, beta])
    return b.finish(dx=dx, dgamma=dgamma, dbeta=dbeta, y=y)


def relu(b: GraphBuilder, y: Value, x: Value) -> Value:
    return b.op("relu", y)


def test_split_names_what_is_added_up_and_what_is_elementwise():
    b = GraphBuilder("norm")
    x, g = (b.input(name, Type((Batch(), 4))) for name in ("x", "g"))
    gamma, beta = (b.parameter(name, Type((4,))) for name in ("gamma", "beta"))
    y, mean, variance = b.apply("batch_norm", x, gamma, beta, epsilon=1e-3)
    dx, *_ = b.apply("batch_norm_grad", g, x, gamma, mean, variance, epsilon=1e-3)
    assert text(split_norms(b.finish(y=y, dx=dx))) == lines("""
        param gamma: f32[4]
        param beta: f32[4]
        %0: f32[4], %1: f32[4], %2: f32[4] = batch_moments(x, gamma) epsilon=0.001
        %3: f32[B,4] = batch_apply(x, %0, %2, beta)
        %4: f32[4], %5: f32[4], %6: f32[4], %7: f32[4] = batch_sums(x, %0, %1, g) epsilon=0.001
        %8: f32[B,4] = batch_backward(g, x, %0, %2, %6, %7)
        return y=%3, dx=%8""")


def test_the_rectifiers_output_is_computed_again_instead_of_read():
    graph = eliminate_dead(recompute(fuse_chains(split_norms(trained(relu)))))
    (sums,) = (node for node in graph.nodes if node.op.name == "batch_sums")
    assert {name for name, _, _ in sums.attrs["body"]} >= {"batch_apply", "relu", "relu_grad"}
    rectified = graph.outputs["y"]
    assert not any(rectified in node.inputs for node in graph.nodes if node.op.name.startswith("batch_"))
    assert "relu_grad" not in {node.op.name for node in graph.nodes}


def test_a_gradient_that_others_need_is_stored_once():
    graph = trained(lambda b, y, x: b.op("relu", b.op("add", y, b.parameters["beta"])))
    (sums,) = (node for node in recompute(fuse_chains(split_norms(graph))).nodes if node.op.name == "batch_sums")
    assert len(sums.inputs) == 4 and not sums.attrs.get("body")


def test_nothing_dear_is_computed_twice():
    graph = trained(lambda b, y, x: b.op("tanh", y))
    (sums,) = (node for node in recompute(fuse_chains(split_norms(graph))).nodes if node.op.name == "batch_sums")
    assert "tanh" not in {name for name, _, _ in sums.attrs.get("body", ())}


BETWEEN: dict[str, Between] = {
    "alone": lambda b, y, x: y, "relu": relu, "relu6": lambda b, y, x: b.op("relu6", b.op("scale", y, factor=4.0)),
    "residual": lambda b, y, x: b.op("relu", b.op("add", y, x)), "tanh": lambda b, y, x: b.op("tanh", y),
}


@pytest.mark.parametrize("channels", [1, 5, 16, 40])
@pytest.mark.parametrize("between", BETWEEN)
def test_values_stay(between: str, channels: int):
    graph = trained(BETWEEN[between], channels)
    random = np.random.default_rng(channels)
    feeds = {name: random.standard_normal((90, 6, channels), np.float32) for name in ("x", "w")}
    weights = {"gamma": random.standard_normal(channels).astype("float32"), "beta": np.zeros(channels, np.float32)}
    exact = interpret(graph, {name: feed.astype("float64") for name, feed in feeds.items()},
                      {name: weight.astype("float64") for name, weight in weights.items()})
    found = []
    for passes, threads in ((PASSES, 1), (PASSES, 2), ((), 1)):
        workers = Workers(threads)
        session = Session(compile_plan(graph, 90, passes=passes), weights, {}, workers)
        for name, feed in feeds.items():
            session.feeds[name][...] = feed
        session.run(90)
        found.append({name: session.fetch(name, 90) for name in graph.outputs})
        workers.close()
    for name, wanted in exact.items():
        np.testing.assert_allclose(found[0][name], wanted, rtol=1e-4, atol=3e-6 * np.abs(wanted).max(), err_msg=name)
        assert found[0][name].tobytes() == found[1][name].tobytes() == found[2][name].tobytes(), name
