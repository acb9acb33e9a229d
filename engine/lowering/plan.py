"""The plan: a graph's kernel requests in order, and where every value lives."""

from __future__ import annotations

from dataclasses import dataclass

from engine.graph.ir import Graph, Node, Value
from engine.graph.text import names
from engine.lowering.algorithm import choose_algorithms
from engine.lowering.memory import Allocation, plan_memory
from engine.lowering.request import KernelRequest
from engine.lowering.select import Numerics
from engine.passes.pipeline import PASSES, Pass, optimise


@dataclass(frozen=True)
class Plan:
    """What the runtime binds and runs. `requests` pairs each kernel request with the node that asked for it."""

    graph: Graph
    requests: tuple[tuple[KernelRequest, Node], ...]
    allocation: Allocation
    batch: int
    """The largest batch it can take."""
    numerics: Numerics = "winograd4"

    def report(self) -> str:
        """A line a request, then the memory report."""
        named = names(self.graph)

        def show(value: Value) -> str:
            block = self.allocation.blocks.get(value)
            return f"{named.get(value, 'scratch')}{f'@{block.offset}' if block else ''}"

        lines = [f"{index:4d} {request.family}.{request.function}({', '.join(map(show, request.reads))}) -> "
                 f"{', '.join(map(show, request.writes))}  # {node.origin}"
                 for index, (request, node) in enumerate(self.requests)]
        return "\n".join([f"numerics {self.numerics}", *lines, self.allocation.report()])


def compile_plan(graph: Graph, batch: int, *, passes: tuple[Pass, ...] = PASSES, keep: bool = False,
                 numerics: Numerics = "winograd4") -> Plan:
    """Optimise, lower and plan the memory for batches of up to `batch` examples.

    `numerics` is the schedule's only part that may change results. With `keep`, for looking at every value: no passes,
    and no two values share memory.
    """
    graph = choose_algorithms(optimise(graph, () if keep else passes), numerics)
    requests = tuple((request, node) for node in graph.nodes for request in node.op.lower(node))
    return Plan(graph, requests, plan_memory(graph, requests, batch, keep=keep), batch, numerics)
