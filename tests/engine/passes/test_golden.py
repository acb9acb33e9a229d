"""Each pass on a small graph: its text before and after."""

from __future__ import annotations

import pytest

from engine.graph.ir import Graph, GraphBuilder, Value
from engine.graph.text import print_graph
from engine.passes.dead import eliminate_dead
from engine.passes.fold import fold_constants
from engine.passes.fuse import fuse_chains, fuse_epilogues
from engine.passes.share import share_common
from engine.types import Batch, Type

BATCH = Batch()


def text(graph: Graph) -> str:
    return "\n".join(line.strip() for line in print_graph(graph).splitlines()[1:-1])


def lines(expected: str) -> str:
    return "\n".join(line.strip() for line in expected.strip().splitlines())


@pytest.fixture
def b() -> GraphBuilder:
    return GraphBuilder("golden")


@pytest.fixture
def x(b: GraphBuilder) -> Value:
    return b.input("x", Type((BATCH, 4)))


def test_fold_computes_what_reads_only_constants(b: GraphBuilder, x: Value):
    root = b.op("sqrt", b.constant(4.0))
    graph = b.finish(y=b.op("multiply", x, b.op("add", root, b.constant(1.0))))
    assert text(graph) == lines("""
        const $0: f32[] = 4.0
        const $1: f32[] = 1.0
        %0: f32[] = sqrt($0)
        %1: f32[] = add(%0, $1)
        %2: f32[B,4] = multiply(x, %1)
        return y=%2""")
    assert text(fold_constants(graph)) == lines("""
        %0: f32[B,4] = scale(x) factor=3
        return y=%0""")


def test_fold_drops_what_changes_nothing(b: GraphBuilder, x: Value):
    same = b.op("scale", b.op("multiply", b.op("reshape", x, shape=(BATCH, 4)), b.constant(1.0)), factor=1.0)
    assert text(fold_constants(b.finish(y=b.op("exp", same)))) == lines("""
        %0: f32[B,4] = exp(x)
        return y=%0""")


def test_fold_keeps_adding_zero_which_turns_minus_zero_into_zero(b: GraphBuilder, x: Value):
    assert "add" in text(fold_constants(b.finish(y=b.op("add", x, b.constant(0.0)))))


def test_share_keeps_the_first_of_equals(b: GraphBuilder, x: Value):
    left, right = b.op("exp", x), b.op("exp", x)
    graph = b.finish(y=b.op("add", b.op("multiply", left, b.constant(2.0)), b.op("multiply", right, b.constant(2.0))))
    assert text(share_common(graph)) == lines("""
        const $0: f32[] = 2.0
        %0: f32[B,4] = exp(x)
        %1: f32[B,4] = multiply(%0, $0)
        %2: f32[B,4] = add(%1, %1)
        return y=%2""")


def test_share_tells_attributes_and_random_streams_apart(b: GraphBuilder, x: Value):
    drawn = [b.op("dropout", x, rate=0.5, stream=stream) for stream in (0, 1)]
    graph = b.finish(y=b.op("add", *drawn))
    assert len(share_common(graph).nodes) == 3


def test_dead_keeps_outputs_and_effects(b: GraphBuilder, x: Value):
    b.op("exp", x)
    statistic = b.parameter("mean", Type((4,)))
    b.apply("assign", statistic, b.op("reduce_mean", x, axes=(0,)))
    graph = b.finish(y=b.op("negative", x))
    assert text(eliminate_dead(graph)) == lines("""
        param mean: f32[4]
        %0: f32[4] = reduce_mean(x) axes=(0,)
        () = assign(mean, %0)
        %1: f32[B,4] = negative(x)
        return y=%1""")


def test_bias_and_activation_join_the_contraction(b: GraphBuilder, x: Value):
    kernel, bias = b.parameter("kernel", Type((4, 3))), b.parameter("bias", Type((3,)))
    graph = b.finish(y=b.op("tanh", b.op("add", b.op("matmul", x, kernel), bias)))
    assert text(fuse_epilogues(graph)) == lines("""
        param kernel: f32[4,3]
        param bias: f32[3]
        %0: f32[B,3] = matmul(x, kernel, bias) epilogue=(('tanh', (0,), ()),)
        return y=%0""")


def test_what_somebody_else_reads_stays(b: GraphBuilder, x: Value):
    product = b.op("matmul", x, b.parameter("kernel", Type((4, 3))))
    graph = b.finish(y=b.op("relu", product), z=product)
    assert text(fuse_epilogues(graph)) == text(graph)


def test_a_full_sized_addend_is_no_bias(b: GraphBuilder, x: Value):
    product = b.op("matmul", x, b.parameter("kernel", Type((4, 4))))
    assert [node.op.name for node in fuse_epilogues(b.finish(y=b.op("add", product, x))).nodes] == ["matmul", "add"]


def test_a_chain_becomes_one_node(b: GraphBuilder, x: Value):
    shifted = b.op("add", x, b.parameter("s", Type((4,))))
    graph = b.finish(y=b.op("multiply", b.op("tanh", shifted), x))
    assert text(fuse_chains(graph)) == lines("""
        param s: f32[4]
        %0: f32[B,4] = fused(x, s) body=(('add', (0, 1), ()), ('tanh', (2,), ()), ('multiply', (3, 0), ())) dtype=float32
        return y=%0""")  # noqa: E501


def test_a_chain_ends_where_the_shape_grows(b: GraphBuilder, x: Value):
    small = b.op("exp", b.op("reduce_sum", x, axes=(1,), keepdims=True))
    names = [node.op.name for node in fuse_chains(b.finish(y=b.op("multiply", x, small))).nodes]
    assert names == ["reduce_sum", "exp", "multiply"]
