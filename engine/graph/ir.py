"""The graph: nodes that compute values from values, in an order that is an execution order.

A graph is never changed in place. A pass makes a new one with `Rewriter` or `GraphBuilder`; nodes carry no hidden
state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import CompileError
from engine.types import Type

if TYPE_CHECKING:
    from engine.ops.base import Op

ROLES = ("input", "parameter", "constant", "state", "table", "scratch", "node")


@dataclass(frozen=True, eq=False)
class Value:
    """An edge of the graph. `role` says where it comes from; inputs, parameters and tables have a name of their own."""

    type: Type
    role: str
    name: str = ""
    data: np.ndarray | None = field(default=None, repr=False)
    """The array of a constant."""

    @property
    def shape(self) -> tuple[Any, ...]:
        return self.type.shape

    @property
    def dtype(self) -> str:
        return self.type.dtype


STATE = Value(Type((16,), "int64"), "state", "state")
"""The run's state; see `engine.kernels.state` for its fields."""


@dataclass(frozen=True, eq=False)
class Node:
    """One application of an op. `origin` is the layer (or other part of the definition) that asked for it."""

    op: Op
    inputs: tuple[Value, ...]
    attrs: Mapping[str, Any]
    outputs: tuple[Value, ...]
    origin: str = ""


@dataclass(frozen=True, eq=False)
class Graph:
    """`outputs` are the fetches by name. Inputs and parameters are those that were declared, used or not."""

    name: str
    inputs: tuple[Value, ...]
    parameters: tuple[Value, ...]
    nodes: tuple[Node, ...]
    outputs: Mapping[str, Value]

    def users(self) -> dict[Value, list[Node]]:
        """The nodes that read each value, in order; a node that reads it twice stands twice."""
        users: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for value in node.inputs:
                users.setdefault(value, []).append(node)
        return users

    def producers(self) -> dict[Value, Node]:
        """The node that computes each value of role `node`."""
        return {output: node for node in self.nodes for output in node.outputs}

    def constants(self) -> list[Value]:
        """The constants in order of first use."""
        used = [value for node in self.nodes for value in node.inputs] + list(self.outputs.values())
        return list(dict.fromkeys(value for value in used if value.role == "constant"))


class GraphBuilder:
    """Collects nodes; every op is applied here, so that its result types are inferred and checked in one place."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inputs: dict[str, Value] = {}
        self.parameters: dict[str, Value] = {}
        self.nodes: list[Node] = []
        self.outputs: dict[str, Value] = {}
        self.origin = ""

    def input(self, name: str, type: Type) -> Value:
        """Declare a value that is fed at every run."""
        return self._declare(self.inputs, name, type, "input")

    def parameter(self, name: str, type: Type) -> Value:
        """Declare a value that lives in the weight store: weights, statistics, optimizer slots."""
        return self._declare(self.parameters, name, type, "parameter")

    def _declare(self, table: dict[str, Value], name: str, type: Type, role: str) -> Value:
        if name in self.inputs or name in self.parameters:
            raise CompileError(f"{role} {name!r} is declared twice")
        table[name] = Value(type, role, name)
        return table[name]

    def constant(self, data: Any, dtype: str = "float32") -> Value:
        """A value known at compile time."""
        array = np.ascontiguousarray(np.asarray(data, dtype=dtype)).reshape(np.shape(data))
        return Value(Type(array.shape, dtype), "constant", data=array)

    def apply(self, op: str | Op, *inputs: Value, **attrs: Any) -> tuple[Value, ...]:
        """Apply an op and return all its outputs; one that reads the run's state gets it as its last input.

        Raises ShapeMismatch where the op does not fit its inputs.
        """
        from engine.ops.base import find

        found = find(op) if isinstance(op, str) else op
        if found.stateful and STATE not in inputs:
            inputs = (*inputs, STATE)
        types = found.infer(*(value.type for value in inputs), **attrs)
        outputs = tuple(self.computed(type) for type in types)
        self.nodes.append(Node(found, inputs, dict(attrs), outputs, self.origin))
        return outputs

    def computed(self, type: Type) -> Value:
        """A value that a node is to compute."""
        return Value(type, "node")

    def producer(self, value: Value) -> Node | None:
        """The node that computes a value, if one of this graph does."""
        return next((node for node in reversed(self.nodes) if value in node.outputs), None)

    def op(self, op: str | Op, *inputs: Value, **attrs: Any) -> Value:
        """Apply an op that has one output and return it."""
        (output,) = self.apply(op, *inputs, **attrs)
        return output

    def append(self, graph: Graph, origin: str = "") -> Mapping[str, Value]:
        """Take over a graph's declarations and nodes as they are; its outputs come back by name."""
        self.inputs.update({value.name: value for value in graph.inputs})
        self.parameters.update({value.name: value for value in graph.parameters})
        self.nodes.extend(graph.nodes)
        return graph.outputs

    def finish(self, **outputs: Value) -> Graph:
        """The graph, with these fetches beside those in `outputs`."""
        return Graph(self.name, tuple(self.inputs.values()), tuple(self.parameters.values()), tuple(self.nodes),
                     {**self.outputs, **outputs})


def rebuild(graph: Graph, nodes: Iterable[Node], renamed: Mapping[Value, Value] | None = None) -> Graph:
    """A graph of these nodes in which every use of a renamed value reads its replacement."""
    renamed = dict(renamed or {})

    def follow(value: Value) -> Value:
        while value in renamed:
            value = renamed[value]
        return value

    rebuilt = [node if all(follow(value) is value for value in node.inputs)
               else Node(node.op, tuple(map(follow, node.inputs)), node.attrs, node.outputs, node.origin)
               for node in nodes]
    return Graph(graph.name, graph.inputs, graph.parameters, tuple(rebuilt),
                 {name: follow(value) for name, value in graph.outputs.items()})


def only(values: Sequence[Value]) -> Value:
    """The single value of a sequence."""
    (value,) = values
    return value
