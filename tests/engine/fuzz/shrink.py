"""A failing graph made smaller for as long as it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from engine.errors import EngineError
from engine.graph.interpret import closed
from engine.graph.ir import Graph, Node, Value, rebuild
from tests.engine.fuzz.case import Case, Domain

Fails = Callable[[Case], bool]


def shrink(case: Case, fails: Fails) -> Case:
    """The smallest failing case on the way of taking the first smaller one that still fails."""
    for each in _smaller(case):
        if _size(each) < _size(case) and _tried(each, fails):
            return shrink(each, fails)
    return case


def _size(case: Case) -> tuple[int, int, int]:
    return len(case.graph.nodes), len(case.graph.outputs), case.batch


def _tried(case: Case, fails: Fails) -> bool:
    try:
        return fails(case)
    except EngineError:
        return False  # not a graph any more


def _smaller(case: Case) -> Iterator[Case]:
    """One output; an earlier value for the output; an input in the place of what a node computes; less examples."""
    graph = case.graph
    if len(graph.outputs) > 1:
        yield from (_with(case, outputs={name: value}) for name, value in graph.outputs.items())
        yield from (_with(case, outputs={name: value for name, value in graph.outputs.items() if name != left})
                    for left in graph.outputs)
    else:
        yield from (_with(case, outputs={"y": output}) for node in graph.nodes for output in node.outputs)
    values = _values(case)
    yield from (_cut(case, node, values) for node in reversed(graph.nodes))
    yield from (replace(case, batch=batch) for batch in (1, 2, 3, case.batch // 2) if 0 < batch < case.batch)


def _with(case: Case, outputs: Mapping[str, Value], nodes: tuple[Node, ...] | None = None,
          inputs: tuple[Value, ...] | None = None, domains: Mapping[str, Domain] | None = None) -> Case:
    """The case with these outputs and only what they need."""
    graph, wanted = case.graph, set(outputs.values())
    kept: list[Node] = []
    for node in reversed(graph.nodes if nodes is None else nodes):
        if wanted & set(node.outputs):
            kept.insert(0, node)
            wanted |= set(node.inputs)
    made = Graph(graph.name, tuple(value for value in inputs or graph.inputs if value in wanted),
                 tuple(value for value in graph.parameters if value in wanted), tuple(kept), outputs)
    return Case(made, domains or case.domains, case.batch)


def _cut(case: Case, cut: Node, values: Mapping[Value, np.ndarray]) -> Case:
    """With inputs in the place of what a node computes."""
    graph = case.graph
    taken = {value.name for value in graph.inputs}
    free = (name for number in range(1000) if (name := f"v{number}") not in taken)
    renamed = {output: Value(output.type, "input", next(free)) for output in cut.outputs}
    domains = {**case.domains, **{new.name: Domain.of(values[old]) for old, new in renamed.items()}}
    made = rebuild(graph, [node for node in graph.nodes if node is not cut], renamed)
    return _with(case, made.outputs, made.nodes, (*graph.inputs, *renamed.values()), domains)


def _values(case: Case) -> dict[Value, np.ndarray]:
    """Every value by the references, for one draw."""
    feeds, parameters = case.arrays(case.batch, 0)
    graph = case.graph
    found: dict[Value, np.ndarray] = {value: feeds[value.name] for value in graph.inputs}
    found |= {value: parameters[value.name] for value in graph.parameters}
    found |= {value: value.data for value in graph.constants() if value.data is not None}
    for node in graph.nodes:
        arrays = [found[value] for value in node.inputs if value.role != "state"]
        with np.errstate(all="ignore"):
            results = node.op.reference(*arrays, **closed(node.attrs, case.batch))
        found.update(zip(node.outputs, results, strict=True))
    return found
