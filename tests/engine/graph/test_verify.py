"""The verifier finds each kind of fault, names it and shows where it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.errors import CompileError
from engine.graph.ir import Graph, GraphBuilder, Node, Value
from engine.graph.verify import verify
from engine.ops.base import find
from engine.types import Batch, Type

B = Batch()


@pytest.fixture
def graph() -> Graph:
    b = GraphBuilder("sound")
    x, w = b.input("x", Type((B, 4))), b.parameter("w", Type((4, 3)))
    y = b.op("matmul", x, w)
    z = b.op("square", b.op("exp", y))
    b.apply("assign", w, b.op("scale", w, factor=0.5))
    return b.finish(z=z)


def changed(graph: Graph, position: int, **fields: object) -> Graph:
    """The graph with one node's fields replaced."""
    nodes = list(graph.nodes)
    nodes[position] = replace(nodes[position], **fields)  # type: ignore[arg-type]
    return replace(graph, nodes=tuple(nodes))


def test_a_sound_graph_passes(graph):
    verify(graph)


def read_early(graph: Graph) -> Graph:
    return replace(graph, nodes=(graph.nodes[1], graph.nodes[0], *graph.nodes[2:]))


def read_unknown(graph: Graph) -> Graph:
    return changed(graph, 1, inputs=(Value(Type((B, 3)), "node"),))


def undeclared_parameter(graph: Graph) -> Graph:
    return replace(graph, parameters=())


def twice(graph: Graph) -> Graph:
    return replace(graph, nodes=(*graph.nodes[:2], graph.nodes[1], *graph.nodes[2:]))


def one_output_twice(graph: Graph) -> Graph:
    return changed(graph, 1, outputs=graph.nodes[1].outputs * 2)


def wrong_type(graph: Graph) -> Graph:
    output = Value(Type((B, 5)), "node")
    return changed(graph, 2, outputs=(output,))


def wrong_dtype(graph: Graph) -> Graph:
    return changed(graph, 2, outputs=(Value(Type((B, 3), "int32"), "node"),))


def wrong_shape_of_an_input(graph: Graph) -> Graph:
    return changed(graph, 0, inputs=graph.nodes[0].inputs[::-1])


def unknown_attribute(graph: Graph) -> Graph:
    return changed(graph, 0, attrs={"transposed": True})


def read_after_written(graph: Graph) -> Graph:
    weight = graph.parameters[0]
    late = Node(find("square"), (weight,), {}, (Value(weight.type, "node"),))
    return replace(graph, nodes=(*graph.nodes, late))


AT_A_NODE: list[tuple[Callable[[Graph], Graph], int, str]] = [
    (read_early, 0, "input 0 (f32[B,3]) is read before it is computed"),
    (read_unknown, 1, "input 0 (f32[B,3]) is read before it is computed"),
    (undeclared_parameter, 0, "input 1 (f32[4,3]) is read before it is computed"),
    (twice, 2, "an output is computed twice"),
    (one_output_twice, 1, "an output is computed twice"),
    (wrong_type, 2, "expected outputs ['f32[B,3]'], received ['f32[B,5]']"),
    (wrong_dtype, 2, "expected outputs ['f32[B,3]'], received ['i32[B,3]']"),
    (wrong_shape_of_an_input, 0, "expected 3 rows of the right operand"),
    (unknown_attribute, 0, "unexpected keyword argument 'transposed'"),
    (read_after_written, 5, "parameter 'w' is read after assign has written it"),
]


@pytest.mark.parametrize(("spoil", "position", "fault"), AT_A_NODE, ids=lambda value: getattr(value, "__name__", ""))
def test_a_fault_is_named_with_its_node_and_shown_among_its_neighbours(graph, spoil, position, fault):
    with pytest.raises(CompileError) as raised:
        verify(spoil(graph))
    head, *around = str(raised.value).splitlines()
    assert head.startswith(f"graph sound, node {position} (")
    assert fault in head
    assert [line[:1] for line in around].index(">") == position
    assert len(around) >= 5


def test_a_name_declared_twice(graph):
    with pytest.raises(CompileError, match="declared twice"):
        verify(replace(graph, inputs=graph.inputs * 2))
    b = GraphBuilder("builder")
    b.input("x", Type((B,)))
    with pytest.raises(CompileError, match="'x' is declared twice"):
        b.parameter("x", Type((2,)))


def test_an_output_that_nothing_computes(graph):
    with pytest.raises(CompileError, match="output 'extra' is never computed"):
        verify(replace(graph, outputs={**graph.outputs, "extra": Value(Type((B,)), "node")}))
