"""The input pipeline inside the plan: rows of a table picked by the epoch's order."""

from __future__ import annotations

import numpy as np

from engine.graph.ir import Node, Value
from engine.lowering.request import KernelRequest
from engine.ops.base import Op, op
from engine.types import Batch, Type


def table(name: str, row: tuple[int, ...], dtype: str) -> Value:
    """A whole array of examples, bound to a plan; its number of rows is known then."""
    return Value(Type((1, *row), dtype), "table", name)


@op("gather")
class Gather(Op):
    """The rows of a table that this batch takes: entries cursor … cursor + batch of the order in the state."""

    stateful = True
    run_only = True

    def infer(self, *types: Type) -> tuple[Type, ...]:
        rows, _state = types
        return (Type((Batch(), *rows.shape[1:]), rows.dtype),)

    def reference(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        rows, indices = arrays
        return (rows[indices],)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("memory", "gather", node.inputs, node.outputs)]

    def flops(self, node: Node) -> int:
        return 0
