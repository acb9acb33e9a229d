"""Passes that move work elsewhere keep the bits of what they move, where the order of operations is the same."""

from __future__ import annotations

import numpy as np
import pytest

from engine.graph.ir import Graph, GraphBuilder, Value
from engine.lowering.plan import compile_plan
from engine.passes.padding import fold_padding
from engine.passes.pipeline import Pass
from engine.passes.pooling import pool_gradients
from engine.runtime.session import Session, aligned
from engine.runtime.threads import Workers
from engine.types import Batch, Type, known
from engine.windows import output_size

BATCH = 7


def run(graph: Graph, *passes: Pass) -> dict[str, np.ndarray]:
    """The outputs of a plan for five of at most seven examples."""
    plan, random, workers = compile_plan(graph, BATCH, passes=passes), np.random.default_rng(3), Workers(1)
    weights = {value.name: aligned(known(value.shape), "float32") for value in graph.parameters}
    session = Session(plan, weights, {}, workers)
    try:
        for array in (*weights.values(), *session.feeds.values()):
            array[...] = random.standard_normal(array.shape)
        session.run(5)
        return {name: session.fetch(name, 5) for name in graph.outputs}
    finally:
        workers.close()


def bordered(b: GraphBuilder, op: str, border: tuple[tuple[int, int], ...], strides: tuple[int, int]) -> Graph:
    """A border before a convolution, and its gradients as autodiff makes them."""
    image = b.input("image", Type((Batch(), 7, 6, 3)))
    kernel = b.parameter("kernel", Type((3, 2, 3, 1 if op.startswith("depthwise") else 5)))
    padded = b.op("pad", image, padding=((0, 0), *border, (0, 0)))
    y = b.op(op, padded, kernel, strides=strides)
    outputs = [output_size(padded.shape[1 + d], kernel.shape[d], strides[d], 1, (0, 0)) for d in (0, 1)]
    g = b.input("g", Type((Batch(), *outputs, y.shape[3])))
    dx = b.op(f"{op}_backward_data", g, kernel, size=tuple(padded.shape[1:3]), strides=strides)
    for axis, (before, _) in enumerate(border, 1):
        if dx.shape[axis] != image.shape[axis]:
            dx = b.op("slice", dx, axis=axis, start=before, stop=before + image.shape[axis])
    whole = tuple(kernel.shape) if op.startswith("depthwise") else tuple(kernel.shape[:2])
    return b.finish(y=y, dx=dx, dk=b.op(f"{op}_backward_kernel", padded, g, kernel=whole, strides=strides))


@pytest.mark.parametrize("op", ["conv2d", "depthwise_conv2d"])
@pytest.mark.parametrize("border", [((1, 1), (1, 1)), ((0, 2), (1, 0)), ((3, 0), (0, 0))])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 1)])
def test_folding_a_border(op: str, border: tuple[tuple[int, int], ...], strides: tuple[int, int]):
    graph = bordered(GraphBuilder("bordered"), op, border, strides)
    assert {"pad", "slice"} & {node.op.name for node in graph.nodes}
    folded = fold_padding(graph)
    assert {node.op.name for node in folded.nodes if node.outputs[0] in folded.outputs.values()} <= {
        op, f"{op}_backward_data", f"{op}_backward_kernel"}
    for name, plain in run(graph).items():
        np.testing.assert_array_equal(run(graph, fold_padding)[name], plain, err_msg=name)


@pytest.mark.parametrize("activation", ["relu", "relu6"])
@pytest.mark.parametrize("pool, strides", [((2, 2), (2, 2)), ((3, 3), (2, 2)), ((2, 3), (1, 1))])
def test_masks_behind_the_pooling(activation: str, pool: tuple[int, int], strides: tuple[int, int]):
    b = GraphBuilder("pooled")
    image = b.input("image", Type((Batch(), 7, 7, 17)))
    y = b.op(activation, b.op("scale", image, factor=5.0))
    p, chosen = b.apply("max_pool2d", y, pool=pool, strides=strides)
    g: Value = b.input("g", p.type)
    dz = b.op(f"{activation}_grad", y, b.op("max_pool2d_grad", g, chosen, size=(7, 7), pool=pool, strides=strides))
    graph = b.finish(dz=dz, db=b.op("reduce_sum", dz, axes=(0, 1, 2)))
    plain, moved = run(graph), run(graph, pool_gradients)
    assert plain["dz"].any()
    np.testing.assert_array_equal(moved["dz"], plain["dz"])
    np.testing.assert_allclose(moved["db"], plain["db"], rtol=1e-4, atol=1e-4)  # other terms, another order
