"""A choice between two values, element by element."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from engine.graph.ir import GraphBuilder, Node
from engine.ops.base import Gradients, Sample
from engine.ops.elementwise import Elementwise, op, unbroadcast


@op("where")
class Where(Elementwise):
    """`yes` where the condition is above 0, else `no`. Conditions are numbers: `greater` and its like give 1 and 0."""

    samples = (Sample(((3, 5), (3, 5), (3, 5)), differentiable=(1, 2)),
               Sample(((3, 1), (5,), (3, 5)), differentiable=(1, 2)))
    overwrites: ClassVar[Mapping[int, int]] = {0: 1}

    @staticmethod
    def expression(m: Any, condition: Any, yes: Any, no: Any) -> Any:
        return m.where(condition > 0.0, yes, no)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (g,) = grads
        assert g is not None
        condition, yes, no = node.inputs
        nothing = b.constant(0.0)
        return (None, unbroadcast(b, b.op("where", condition, g, nothing), yes.shape),
                unbroadcast(b, b.op("where", condition, nothing, g), no.shape))
