"""Random graphs against their references; `make fuzz` tries ten thousand others."""

from __future__ import annotations

import pytest

from engine.graph.ir import Graph, Node, rebuild
from engine.ops.base import find
from tests.engine.fuzz import compare
from tests.engine.fuzz.compare import fault
from tests.engine.fuzz.grow import grow
from tests.engine.fuzz.shrink import shrink

SEEDS, PORTION = 200, 10


@pytest.mark.parametrize("first", range(0, SEEDS, PORTION))
def test_passes_and_plans_compute_what_the_references_say(first: int) -> None:
    for seed in range(first, first + PORTION):
        case = grow(seed)
        found = fault(case)
        assert found is None, f"{found}\n{case}\nsmaller: python -m tests.engine.fuzz --seed {seed} --count 1"


def test_a_seed_gives_one_graph() -> None:
    assert str(grow(3)) == str(grow(3)) != str(grow(4))


def test_a_wrong_pass_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(graph: Graph) -> Graph:
        swapped = [Node(find("subtract"), node.inputs, node.attrs, node.outputs) if node.op.name == "add" else node
                   for node in graph.nodes]
        return rebuild(graph, swapped)

    case = next(case for case in map(grow, range(100)) if "add" in {node.op.name for node in case.graph.nodes[1:9]})
    monkeypatch.setattr(compare, "optimise", wrong)
    found = fault(case)
    assert found is not None and "after the passes" in found
    small = shrink(case, lambda smaller: fault(smaller) is not None)
    assert [node.op.name for node in small.graph.nodes] == ["add"]
