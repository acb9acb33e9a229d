"""The memory planner: no two living values overlap, and what it shares is what it may share."""

from __future__ import annotations

from itertools import combinations

import pytest

from engine.definition import parse_model
from engine.graph.build import forward_graph
from engine.graph.ir import GraphBuilder
from engine.lowering import chunks
from engine.lowering.plan import Plan, compile_plan
from engine.types import Batch, Type, concrete, size_bytes

CNN = {"inputs": {"image": {"shape": [12, 12, 3]}},
       "layers": [{"type": "Conv2D", "filters": 8, "kernel_size": 3, "padding": "same", "activation": "relu"},
                  {"type": "BatchNormalization"}, {"type": "MaxPooling2D"}, {"type": "Flatten"},
                  {"type": "Dense", "units": 10, "activation": "softmax"}]}


def plans() -> list[Plan]:
    graph, _ = forward_graph(parse_model(CNN), training=True)
    return [compile_plan(graph, 7), compile_plan(graph, 7, keep=True)]


@pytest.mark.parametrize("plan", plans(), ids=["shared", "kept"])
def test_living_values_do_not_overlap(plan: Plan):
    blocks = set(plan.allocation.blocks.values())
    assert blocks
    for one, other in combinations(blocks, 2):
        together = one.first <= other.last and other.first <= one.last
        apart = one.offset + one.size <= other.offset or other.offset + other.size <= one.offset
        assert apart or not together, (one, other)


@pytest.mark.parametrize("plan", plans(), ids=["shared", "kept"])
def test_every_value_fits_its_block_inside_the_arena(plan: Plan):
    for value, block in plan.allocation.blocks.items():
        assert size_bytes(value.type, plan.batch) <= block.size
        assert block.offset % 64 == 0
        assert block.offset + block.size <= plan.allocation.arena_bytes


def test_sharing_takes_less_than_keeping():
    shared, kept = plans()
    assert shared.allocation.arena_bytes < kept.allocation.arena_bytes


def test_a_value_lives_from_its_first_request_to_its_last():
    for plan in plans():
        for index, (request, _) in enumerate(plan.requests):
            for value in (*request.reads, *request.writes):
                block = plan.allocation.blocks.get(value)
                assert block is None or block.first <= index <= block.last


def test_an_elementwise_result_takes_over_a_buffer_that_ends():
    b = GraphBuilder("g")
    x = b.input("x", Type((Batch(), 64)))
    y = b.op("reduce_sum", b.op("exp", b.op("softmax", b.op("softmax", x))), axes=(1,))
    plan = compile_plan(b.finish(y=y), 4)
    softmax, exp = plan.graph.nodes[1].outputs[0], plan.graph.nodes[2].outputs[0]
    assert plan.allocation.blocks[softmax] is plan.allocation.blocks[exp]


def test_a_fetched_value_is_never_taken_over():
    b = GraphBuilder("g")
    first = b.op("softmax", b.input("x", Type((Batch(), 64))))
    plan = compile_plan(b.finish(first=first, second=b.op("exp", first)), 4)
    blocks = [plan.allocation.blocks[value] for value in plan.graph.outputs.values()]
    assert blocks[0] is not blocks[1]


def test_the_report_is_stable():
    b = GraphBuilder("g")
    x = b.input("x", Type((Batch(), 16)))
    y = b.op("softmax", b.op("softmax", b.op("softmax", x)))
    assert compile_plan(b.finish(y=y), 4).report() == "\n".join([
        "numerics winograd4",
        "   0 softmax.forward(x) -> %0@0  # ", "   1 softmax.forward(%0@0) -> %1@256  # ",
        "   2 softmax.forward(%1@256) -> %2@0  # ",
        "    0 – 1                0 + 256         ", "    1 – 2              256 + 256         ",
        "    2 – 3                0 + 256         ",
        "arena 512 bytes, 512 of them in use at once, for 3 values of 768 bytes"])


def test_sums_that_are_not_cut_into_parts_have_no_memory_for_them():
    """A gradient of 2^20 elements: over 128 examples one chain, over 3000 three parts, and an operand in panels."""
    b = GraphBuilder("gradient")
    x, g = (b.input(name, Type((Batch(), 1024))) for name in ("x", "g"))
    graph = b.finish(gradient=b.op("matmul", x, g, transpose_a=True))
    one, three = (compile_plan(graph, batch).allocation.arena_bytes // (4 * 2**20) for batch in (128, 3000))
    assert (one, three) == (2, 6)


@pytest.mark.parametrize("outputs", [1, 2**20])
@pytest.mark.parametrize("factor", [1, 3])
def test_memory_for_parts_is_never_short(outputs: int, factor: int):
    for batch in (*range(1, 70), 511, 512, 1023, 1024, 1025, 8191, 8192, 9000, 50_000):
        planned = concrete((chunks.parts(Batch(factor), outputs),), batch)
        assert planned == (chunks.parts(factor * batch, outputs),)
        assert chunks.row_parts(factor * batch, outputs) <= planned[0] <= chunks.PARTS
        assert chunks.batch_parts(factor * batch, 10**6) <= planned[0] or outputs > 1
