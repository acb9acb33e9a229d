"""Ops that write: parameters of the weight store, and the record of a step that Python reads afterwards."""

from __future__ import annotations

import numpy as np

from engine.graph.ir import Node, Value
from engine.lowering.request import KernelRequest
from engine.ops.base import Op, ShapeMismatch, op
from engine.types import Type


@op("assign")
class Assign(Op):
    """The parameter (first input) takes the value of the second one."""

    effect = True

    def infer(self, *types: Type) -> tuple[Type, ...]:
        parameter, value = types
        if parameter != value:
            raise ShapeMismatch(str(parameter), str(value))
        return ()

    def reference(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        parameter, value = arrays
        parameter[...] = value
        return ()

    def written(self, node: Node) -> tuple[Value, ...]:
        return node.inputs[:1]

    def lower(self, node: Node) -> list[KernelRequest]:
        parameter, value = node.inputs
        return [KernelRequest("memory", "copy", (value,), (parameter,))]

    def flops(self, node: Node) -> int:
        return 0


@op("record")
class Record(Op):
    """Writes a vector (or a number) at `offset` of the step's line of records, which is `width` float32 long."""

    effect = True
    stateful = True
    run_only = True

    def infer(self, *types: Type, offset: int, width: int) -> tuple[Type, ...]:
        return ()

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("memory", "record", node.inputs, (), node.attrs)]

    def flops(self, node: Node) -> int:
        return 0
