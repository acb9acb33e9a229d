"""What can be known of a model without running it: shapes, parameters, FLOPs, planned memory, and its graphs.

Does not need llvmlite.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from engine.definition.model import Model
from engine.errors import DefinitionError, Fault
from engine.graph.build import forward_graph
from engine.graph.ir import Graph, Node, Value
from engine.graph.text import names
from engine.layers.base import Variable, type_name
from engine.lowering.plan import Plan, compile_plan
from engine.lowering.within import compile_within
from engine.nominal import SLOTS, training_graph
from engine.passes.rematerialise import live_bytes
from engine.types import Batch, Type, open_shape, size_bytes

Stage = Literal["forward", "training", "plan"]

PLANNED_NODES = 5_000
"""Planning takes more than linear time, and a model of thousands of layers may not keep a request for minutes."""


def summary(model: Model, batch_size: int = 32) -> dict[str, Any]:
    """Shapes, parameters and FLOPs of every layer, and the bytes planned for batches of `batch_size` examples.

    The bytes are those of plans that keep what they have computed; see `training_memory_bytes`.
    """
    graph, net = forward_graph(model)
    training = training_graph(model)
    planned = len(training.nodes) <= PLANNED_NODES
    flops = Counter({node.name: 0 for node in model.layers})
    for node in graph.nodes:
        flops[node.origin] += node.op.flops(node)
    return {
        "inputs": {name: _describe(model.types[name]) for name in model.inputs},
        "outputs": {name: {"layer": layer, **_describe(model.types[layer])} for name, layer in model.outputs.items()},
        "layers": [{"name": node.name, "type": type_name(node.layer), "inputs": list(node.inputs),
                    "output_shape": open_shape(model.types[node.name].shape), "trainable": node.trainable,
                    "parameters": parameters, "flops": flops[node.name]}
                   for node, parameters in zip(model.layers, _per_layer(model, net.variables), strict=True)],
        "parameters": _count(net.variables),
        "flops": {"forward": sum(flops.values()),
                  "training_step": sum(node.op.flops(node) for node in training.nodes)},
        "memory_bytes": {"inference": _memory_bytes(graph, net.variables, batch_size, planned, copies=0),
                         "training": _memory_bytes(training, net.variables, batch_size, planned, copies=SLOTS)},
        "warnings": [] if planned else [f"memory_bytes is estimated: a training graph of {len(training.nodes)} nodes "
                                        f"is above the {PLANNED_NODES} that are planned here"],
    }


def graph(model: Model, stage: Stage = "forward", batch_size: int = 32) -> dict[str, Any]:
    """Nodes and edges: of the forward graph, of the differentiated one, or of the plan for `batch_size` examples.

    Raises DefinitionError for the plan of a graph of more than `PLANNED_NODES` nodes.
    """
    if stage == "forward":
        return _graph_json(forward_graph(model)[0])
    if stage == "training":
        return _graph_json(training_graph(model))
    training = training_graph(model)
    if len(training.nodes) > PLANNED_NODES:
        raise DefinitionError([Fault("", f"expected a graph of at most {PLANNED_NODES} nodes for a plan, "
                                         f"received {len(training.nodes)}")])
    return _plan_json(compile_plan(training, batch_size))


def _describe(type: Type) -> dict[str, Any]:
    return {"shape": open_shape(type.shape), "dtype": type.dtype}


def _per_layer(model: Model, variables: list[Variable]) -> list[int]:
    counts: Counter[str] = Counter()
    for variable in variables:
        counts[variable.layer] += math.prod(variable.shape)
    # A layer that is called several times is counted at its first call.
    return [counts.pop(node.owner, 0) for node in model.layers]


def _count(variables: list[Variable]) -> dict[str, int]:
    total = sum(math.prod(variable.shape) for variable in variables)
    trainable = sum(math.prod(variable.shape) for variable in variables if variable.trainable)
    return {"total": total, "trainable": trainable, "non_trainable": total - trainable}


def training_memory_bytes(model: Model, batch_size: int, limit_bytes: int | None = None) -> int:
    """The bytes planned for training; to come below a limit, values are computed again instead of kept.

    Above the limit if that cannot be reached.
    """
    training, (_, net) = training_graph(model), forward_graph(model)
    planned = len(training.nodes) <= PLANNED_NODES
    return _memory_bytes(training, net.variables, batch_size, planned, copies=SLOTS, limit=limit_bytes)


def _memory_bytes(graph: Graph, variables: list[Variable], batch_size: int, planned: bool, *, copies: int,
                  limit: int | None = None) -> int:
    """What is alive at once, the fed examples, the variables, and what the optimizer keeps for each trainable one."""
    fed = sum(size_bytes(value.type, batch_size) for value in graph.inputs)
    kept = sum(4 * math.prod(variable.shape) * (1 + copies * variable.trainable) for variable in variables)
    if not planned:
        return live_bytes(graph, batch_size) + fed + kept
    plan, _ = compile_within(graph, batch_size, None if limit is None else max(0, limit - fed - kept))
    return plan.allocation.arena_bytes + fed + kept


# Graphs as JSON -------------------------------------------------------------------------------------------------------


def _graph_json(graph: Graph) -> dict[str, Any]:
    named = names(graph)
    sources = [_source(value, named[value]) for value in _given(graph)]
    producers = {output: f"%{position}" for position, node in enumerate(graph.nodes) for output in node.outputs}
    nodes, edges = [], []
    for position, node in enumerate(graph.nodes):
        at = f"%{position}"
        nodes.append(_node(node, at, node.op.name))
        edges += [{"from": producers.get(value, named[value]), "to": at, "shape": open_shape(value.shape)}
                  for value in node.inputs]
    for name, value in graph.outputs.items():
        at = f"output {name}"
        nodes.append({"id": at, "op": "output", "layer": name, **_typed(value), "flops": 0, "attrs": {}})
        edges.append({"from": producers.get(value, named.get(value, name)), "to": at, "shape": open_shape(value.shape)})
    return {"nodes": [*sources, *nodes], "edges": edges}


def _plan_json(plan: Plan) -> dict[str, Any]:
    """A node for every kernel request, with the buffers in the arena that it writes."""
    named = names(plan.graph)
    read = {value for request, _ in plan.requests for value in request.reads}
    given = [value for value in _given(plan.graph) if value in read]
    nodes: list[dict[str, Any]] = [_source(value, named[value]) for value in given]
    edges = []
    writers = {value: named[value] for value in given}
    views = {node.outputs[output]: node.inputs[source]
             for node in plan.graph.nodes for output, source in node.op.views.items()}
    for position, (request, node) in enumerate(plan.requests):
        at = f"%{position}"
        for value in request.reads:
            source = value
            while source not in writers and source in views:
                source = views[source]
            origin = writers.get(source, named.get(source, at))
            edges.append({"from": origin, "to": at, "shape": open_shape(value.shape)})
        writers.update(dict.fromkeys(request.writes, at))
        blocks = [plan.allocation.blocks[value] for value in request.writes if value in plan.allocation.blocks]
        last = position + 1 == len(plan.requests) or plan.requests[position + 1][1] is not node
        nodes.append({**_node(node, at, f"{request.family}.{request.function}", request.attrs, request.writes),
                      "flops": node.op.flops(node) if last else 0,
                      "buffers": [{"offset": block.offset, "bytes": block.size} for block in blocks]})
    return {"nodes": nodes, "edges": edges, "arena_bytes": plan.allocation.arena_bytes}


def _given(graph: Graph) -> list[Value]:
    """What the nodes read and no node computes; the run's state (seed, step) is one such value."""
    states = dict.fromkeys(value for node in graph.nodes for value in node.inputs if value.role == "state")
    return [*graph.inputs, *graph.parameters, *graph.constants(), *states]


def _source(value: Value, name: str) -> dict[str, Any]:
    """An input, parameter or constant as a node; a parameter belongs to its layer."""
    layer = value.name.removeprefix("optimizer/").rpartition("/")[0] if value.role == "parameter" else None
    return {"id": name, "op": value.role, "layer": layer, **_typed(value), "flops": 0, "attrs": {}}


def _node(node: Node, at: str, op: str, attrs: Mapping[str, Any] | None = None,
          outputs: tuple[Value, ...] | None = None) -> dict[str, Any]:
    written = node.outputs if outputs is None else outputs
    typed = _typed(written[0]) if written else {"shape": None, "dtype": None}
    return {"id": at, "op": op, "layer": node.origin or None, **typed, "flops": node.op.flops(node),
            "attrs": _json(node.attrs if attrs is None else attrs)}


def _typed(value: Value) -> dict[str, Any]:
    return {"shape": open_shape(value.shape), "dtype": value.dtype}


def _json(value: Any) -> Any:
    """Attributes as JSON: a batch dimension is null, anything that has no JSON is its text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value if not isinstance(value, float) or math.isfinite(value) else str(value)
    if isinstance(value, Batch):
        return None
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_json(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist() if value.size <= 16 else f"array of {value.shape}"
    return str(value)
