"""Each pass on a small graph: its text before and after."""

from __future__ import annotations

import pytest

from engine.graph.ir import Graph, GraphBuilder, Value
from engine.graph.text import print_graph
from engine.passes.dead import eliminate_dead
from engine.passes.fold import fold_constants
from engine.passes.fuse import fuse_chains, fuse_epilogues
from engine.passes.heads import fold_heads
from engine.passes.padding import fold_padding
from engine.passes.pooling import pool_gradients
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


def convolved(b: GraphBuilder) -> Graph:
    """A border, a strided convolution, and its gradients."""
    image, g = b.input("image", Type((BATCH, 4, 6, 2))), b.input("g", Type((BATCH, 2, 3, 5)))
    kernel = b.parameter("kernel", Type((3, 3, 2, 5)))
    bordered = b.op("pad", image, padding=((0, 0), (1, 1), (2, 0), (0, 0)))
    y = b.op("conv2d", bordered, kernel, strides=(2, 2))
    dx = b.op("conv2d_backward_data", g, kernel, size=(6, 8), strides=(2, 2))
    dx = b.op("slice", b.op("slice", dx, axis=1, start=1, stop=5), axis=2, start=2, stop=8)
    return b.finish(y=y, dx=dx, dk=b.op("conv2d_backward_kernel", bordered, g, kernel=(3, 3), strides=(2, 2)))


def test_a_border_becomes_the_convolutions_padding(b: GraphBuilder):
    graph = convolved(b)
    assert text(graph) == lines("""
        param kernel: f32[3,3,2,5]
        %0: f32[B,6,8,2] = pad(image) padding=((0, 0), (1, 1), (2, 0), (0, 0))
        %1: f32[B,2,3,5] = conv2d(%0, kernel) strides=(2, 2)
        %2: f32[B,6,8,2] = conv2d_backward_data(g, kernel) size=(6, 8) strides=(2, 2)
        %3: f32[B,4,8,2] = slice(%2) axis=1 start=1 stop=5
        %4: f32[B,4,6,2] = slice(%3) axis=2 start=2 stop=8
        %5: f32[3,3,2,5] = conv2d_backward_kernel(%0, g) kernel=(3, 3) strides=(2, 2)
        return y=%1, dx=%4, dk=%5""")
    assert text(eliminate_dead(fold_padding(graph))) == lines("""
        param kernel: f32[3,3,2,5]
        %0: f32[B,2,3,5] = conv2d(image, kernel) padding=((1, 1), (2, 0)) strides=(2, 2)
        %1: f32[B,4,6,2] = conv2d_backward_data(g, kernel) padding=((1, 1), (2, 0)) size=(4, 6) strides=(2, 2)
        %2: f32[3,3,2,5] = conv2d_backward_kernel(image, g) kernel=(3, 3) padding=((1, 1), (2, 0)) strides=(2, 2)
        return y=%0, dx=%1, dk=%2""")


def test_a_border_that_is_not_zero_or_lies_elsewhere_stays(b: GraphBuilder):
    image, kernel = b.input("image", Type((BATCH, 4, 6, 2))), b.parameter("kernel", Type((3, 3, 2, 5)))
    wide = b.parameter("wide", Type((3, 3, 3, 5)))
    ones = b.op("pad", image, padding=((0, 0), (1, 1), (1, 1), (0, 0)), value=1.0)
    channel = b.op("pad", image, padding=((0, 0), (1, 1), (1, 1), (1, 0)))
    graph = b.finish(y=b.op("conv2d", ones, kernel), z=b.op("conv2d", channel, wide))
    assert text(fold_padding(graph)) == text(graph)


def test_a_gradient_that_somebody_else_reads_whole_is_not_cut(b: GraphBuilder):
    g, kernel = b.input("g", Type((BATCH, 2, 3, 5))), b.parameter("kernel", Type((3, 3, 2, 5)))
    whole = b.op("conv2d_backward_data", g, kernel, size=(4, 5))
    graph = b.finish(whole=whole, part=b.op("slice", whole, axis=1, start=1, stop=3))
    assert text(fold_padding(graph)) == text(graph)


def pooled(b: GraphBuilder, activation: str) -> Graph:
    """Activation and pooling of a biased image, and the gradients of both."""
    image, g = b.input("image", Type((BATCH, 4, 6, 2))), b.input("g", Type((BATCH, 2, 3, 2)))
    window = {"pool": (2, 2), "strides": (2, 2)}
    y = b.op(activation, image)
    p, chosen = b.apply("max_pool2d", y, **window)
    dy = b.op("max_pool2d_grad", g, chosen, size=(4, 6), **window)
    dz = b.op(f"{activation}_grad", y, dy)
    return b.finish(p=p, dz=dz, db=b.op("reduce_sum", dz, axes=(0, 1, 2)))


def test_masks_and_sums_are_taken_behind_the_pooling(b: GraphBuilder):
    graph = pooled(b, "relu")
    assert text(graph) == lines("""
        %0: f32[B,4,6,2] = relu(image)
        %1: f32[B,2,3,2], %2: u8[B,2,3,2] = max_pool2d(%0) pool=(2, 2) strides=(2, 2)
        %3: f32[B,4,6,2] = max_pool2d_grad(g, %2) pool=(2, 2) size=(4, 6) strides=(2, 2)
        %4: f32[B,4,6,2] = relu_grad(%0, %3)
        %5: f32[2] = reduce_sum(%4) axes=(0, 1, 2)
        return p=%1, dz=%4, db=%5""")
    assert text(pool_gradients(graph)) == lines("""
        %0: f32[B,4,6,2] = relu(image)
        %1: f32[B,2,3,2], %2: u8[B,2,3,2] = max_pool2d(%0) pool=(2, 2) strides=(2, 2)
        %3: f32[B,2,3,2] = relu_grad(%1, g)
        %4: f32[B,4,6,2] = max_pool2d_grad(%3, %2) pool=(2, 2) size=(4, 6) strides=(2, 2)
        %5: f32[2] = reduce_sum(%3) axes=(0, 1, 2)
        return p=%1, dz=%4, db=%5""")


def test_other_derivatives_stay_before_the_pooling(b: GraphBuilder):
    assert text(pool_gradients(graph := pooled(b, "tanh"))) == text(graph)


def test_heads_are_read_and_written_where_projections_have_them(b: GraphBuilder):
    heads = b.input("heads", Type((BATCH, 5, 2, 3)))
    turned = b.op("transpose", heads, permutation=(0, 2, 1, 3))
    scores = b.op("batch_matmul", turned, turned, transpose_b=True)
    seen = b.op("transpose", b.op("batch_matmul", scores, turned), permutation=(0, 2, 1, 3))
    kept = b.op("batch_matmul", scores, scores)
    graph = b.finish(seen=seen, kept=kept, turned=b.op("transpose", kept, permutation=(0, 2, 1, 3)))
    assert text(graph) == lines("""
        %0: f32[B,2,5,3] = transpose(heads) permutation=(0, 2, 1, 3)
        %1: f32[B,2,5,5] = batch_matmul(%0, %0) transpose_b=True
        %2: f32[B,2,5,3] = batch_matmul(%1, %0)
        %3: f32[B,5,2,3] = transpose(%2) permutation=(0, 2, 1, 3)
        %4: f32[B,2,5,5] = batch_matmul(%1, %1)
        %5: f32[B,5,2,5] = transpose(%4) permutation=(0, 2, 1, 3)
        return seen=%3, kept=%4, turned=%5""")
    assert text(eliminate_dead(fold_heads(graph))) == lines("""
        %0: f32[B,2,5,5] = batch_matmul(heads, heads) steps_first=(True, True, False) transpose_b=True
        %1: f32[B,5,2,3] = batch_matmul(%0, heads) steps_first=(False, True, True)
        %2: f32[B,2,5,5] = batch_matmul(%0, %0)
        %3: f32[B,5,2,5] = transpose(%2) permutation=(0, 2, 1, 3)
        return seen=%1, kept=%2, turned=%3""")
