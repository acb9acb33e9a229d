"""Constants of other types than float32, and numbers at the ends of float32, in the passes that look into constants."""

from __future__ import annotations

import numpy as np
import pytest

from engine.graph.interpret import interpret
from engine.graph.ir import GraphBuilder
from engine.lowering.plan import compile_plan
from engine.passes.fold import fold_constants
from engine.passes.share import share_common
from engine.runtime.session import Session
from engine.runtime.threads import Workers
from engine.types import Batch, Type


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_integers_fold_to_float32(dtype: str):
    b = GraphBuilder("integers")
    y = b.op("scale", b.constant([1, 2, 250], dtype), factor=0.5)
    graph = fold_constants(b.finish(y=y))
    (folded,) = graph.outputs.values()
    assert graph.nodes == ()
    assert (folded.role, folded.dtype) == ("constant", "float32")
    assert folded.data is not None
    assert folded.data.tolist() == [0.5, 1, 125]


def test_equal_bytes_of_two_types_are_not_shared():
    b = GraphBuilder("bytes")
    one, other = b.constant([1.0], "float32"), b.constant([0x3F800000], "int32")
    graph = share_common(b.finish(x=b.op("scale", one, factor=2.0), y=b.op("scale", other, factor=2.0)))
    assert len(graph.nodes) == 2
    assert interpret(graph, {})["x"].tolist() == [2.0]


def test_zeros_of_two_signs_are_not_shared():
    b = GraphBuilder("signs")
    x = b.input("x", Type((Batch(),)))
    graph = share_common(b.finish(plus=b.op("divide", x, b.constant(0.0)), minus=b.op("divide", x, b.constant(-0.0))))
    assert len(graph.nodes) == 2


@pytest.mark.parametrize("number", [0.0, -0.0, 1.0, -1.0, 2e-38, 3e38, np.inf, np.nan])
def test_a_number_that_is_multiplied_with(number: float):
    """Folded into `scale` or not, each element is what numpy makes of it."""
    b = GraphBuilder("number")
    graph = b.finish(y=b.op("multiply", b.input("x", Type((Batch(), 5))), b.constant(number)))
    x = np.array([[0.0, -0.0, 1.5, np.inf, np.nan]], np.float32)
    session = Session(compile_plan(graph, 1), {}, {}, Workers(1))
    session.feeds["x"][...] = x
    session.run(1)
    with np.errstate(all="ignore"):
        wanted = x * np.float32(number)
    wanted[np.abs(wanted) < np.finfo(np.float32).tiny] *= 0
    received = session.fetch("y", 1)
    np.testing.assert_array_equal(received, wanted)
    np.testing.assert_array_equal(np.signbit(received)[~np.isnan(wanted)], np.signbit(wanted)[~np.isnan(wanted)])


def test_a_mean_over_constants_and_a_label_fold():
    b = GraphBuilder("several")
    rows = b.op("one_hot", b.constant([2, 0, 7, -1], "int32"), depth=3)
    graph = fold_constants(b.finish(y=b.op("reduce_mean", rows, axes=(0,)), z=b.op("argmax", rows)))
    assert graph.nodes == ()
    assert interpret(graph, {})["y"].tolist() == [0.25, 0, 0.25]
    assert interpret(graph, {})["z"].dtype == np.int32
