"""Values computed again instead of kept: the graph before and after, the same bits, and how far it goes."""

from __future__ import annotations

import numpy as np
import pytest

from engine.autodiff import gradients
from engine.graph.ir import Graph, GraphBuilder, Value
from engine.graph.text import print_graph
from engine.graph.verify import verify
from engine.lowering.plan import compile_plan
from engine.lowering.within import compile_within
from engine.passes.rematerialise import live_bytes, rematerialise, report
from engine.runtime.session import Session, aligned
from engine.runtime.threads import Workers
from engine.types import Batch, Type, known

BATCH = 16


def text(graph: Graph) -> str:
    return "\n".join(line.strip() for line in print_graph(graph).splitlines()[1:-1])


def lines(expected: str) -> str:
    return "\n".join(line.strip() for line in expected.strip().splitlines())


def kept(b: GraphBuilder) -> Graph:
    """exp(x) is made early and read late; in between lies the fullest moment."""
    x = b.input("x", Type((Batch(), 4)))
    early = b.op("exp", x)
    wide = b.op("matmul", early, b.parameter("w", Type((4, 32))))
    narrow = b.op("matmul", b.op("tanh", wide), b.parameter("v", Type((32, 4))))
    return b.finish(y=b.op("multiply", narrow, b.op("reshape", early, shape=(Batch(), 4))))


def test_before_and_after():
    graph = kept(GraphBuilder("golden"))
    assert text(graph) == lines("""
        param w: f32[4,32]
        param v: f32[32,4]
        %0: f32[B,4] = exp(x)
        %1: f32[B,32] = matmul(%0, w)
        %2: f32[B,32] = tanh(%1)
        %3: f32[B,4] = matmul(%2, v)
        %4: f32[B,4] = reshape(%0) shape=(Batch(factor=1), 4)
        %5: f32[B,4] = multiply(%3, %4)
        return y=%5""")
    smaller = rematerialise(graph, BATCH, live_bytes(graph, BATCH) - 1)
    verify(smaller)
    assert live_bytes(graph, BATCH) - live_bytes(smaller, BATCH) == 4 * BATCH * 4
    assert text(smaller) == lines("""
        param w: f32[4,32]
        param v: f32[32,4]
        %0: f32[B,4] = exp(x)
        %1: f32[B,32] = matmul(%0, w)
        %2: f32[B,32] = tanh(%1)
        %3: f32[B,4] = matmul(%2, v)
        %4: f32[B,4] = exp(x)
        %5: f32[B,4] = reshape(%4) shape=(Batch(factor=1), 4)
        %6: f32[B,4] = multiply(%3, %5)
        return y=%6""")
    before, again = (sum(node.op.flops(node) for node in nodes) for nodes in (graph.nodes, graph.nodes[:1]))
    assert report(graph, smaller) == (f"computed again: exp 1; arithmetic of an example {before} -> {before + again} "
                                      f"({again / before:+.1%})")


def test_what_fits_stays_as_it_is():
    graph = kept(GraphBuilder("golden"))
    assert rematerialise(graph, BATCH, live_bytes(graph, BATCH)) is graph


def test_a_parameter_that_was_written_meanwhile_is_not_read_again():
    b = GraphBuilder("written")
    x = b.input("x", Type((Batch(), 4)))
    scale = b.parameter("scale", Type((4,)))
    early = b.op("multiply", x, scale)
    wide = b.op("tanh", b.op("matmul", early, b.parameter("w", Type((4, 32)))))
    narrow = b.op("matmul", wide, b.parameter("v", Type((32, 4))))
    b.apply("assign", scale, b.op("reduce_mean", narrow, axes=(0,)))
    graph = b.finish(y=b.op("multiply", narrow, early))
    smaller = rematerialise(graph, BATCH, 0)
    assert all(node.op.name != "multiply" or node.inputs[0].role != "input" for node in smaller.nodes[1:])


def deep(layers: int) -> Graph:
    """Convolutions with batch normalization, dropout and rectifiers, and the gradients of their kernels."""
    b = GraphBuilder("deep")
    value: Value = b.input("x", Type((Batch(), 8, 8, 4)))
    kernels = []
    for place in range(layers):
        kernel = b.parameter(f"k{place}", Type((3, 3, 4, 4)))
        gamma, beta = (b.parameter(f"{name}{place}", Type((4,))) for name in ("gamma", "beta"))
        value = b.op("conv2d", value, kernel, padding=((1, 1), (1, 1)))
        value = b.op("relu", b.apply("batch_norm", value, gamma, beta, epsilon=1e-3)[0])
        if place % 2:
            value = b.op("multiply", value, b.apply("dropout", value, rate=0.3, stream=place)[0])
        kernels += [kernel, gamma]
    loss = b.op("reduce_mean", b.op("square", value), axes=(0, 1, 2, 3))
    found = gradients(b, loss, kernels)
    return b.finish(loss=loss, **{f"g{place}": gradient for place, gradient in enumerate(found)})


def run(graph: Graph, limit_bytes: int | None, threads: int) -> dict[str, bytes]:
    plan, _ = compile_within(graph, BATCH, limit_bytes)
    random, workers = np.random.default_rng(1), Workers(threads)
    weights = {value.name: aligned(known(value.shape), "float32") for value in graph.parameters}
    session = Session(plan, weights, {}, workers, seed=5)
    try:
        for array in (*weights.values(), *session.feeds.values()):
            array[...] = random.standard_normal(array.shape)
        session.run(13)
        return {name: session.fetch(name, 13).tobytes() for name in graph.outputs}
    finally:
        workers.close()


@pytest.mark.parametrize("share", [0.9, 0.7, 0.5])
def test_less_memory_and_the_same_bits(share: float):
    graph = deep(12)
    before = compile_plan(graph, BATCH).allocation.arena_bytes
    plan, words = compile_within(graph, BATCH, int(before * share))
    after = plan.allocation.arena_bytes
    assert after <= before * share
    assert words.startswith(f"arena {before:,} -> {after:,} bytes ({after / before:.0%}); computed again: ")
    expected = run(graph, None, 2)
    assert run(graph, int(before * share), 1) == run(graph, int(before * share), 2) == expected


def test_what_cannot_be_reached_is_approached():
    graph = deep(12)
    before = compile_plan(graph, BATCH).allocation.arena_bytes
    plan, words = compile_within(graph, BATCH, 1)
    assert 1 < plan.allocation.arena_bytes < before / 2
    assert words


def test_nothing_to_gain_says_nothing():
    b = GraphBuilder("small")
    plan, words = compile_within(b.finish(y=b.op("exp", b.input("x", Type((Batch(), 4))))), BATCH, 1)
    assert (len(plan.graph.nodes), words) == (1, "")
