"""Powers with an exponent that is known at compile time."""

from __future__ import annotations

from typing import Any

from engine.graph.ir import GraphBuilder, Node
from engine.ops.base import Gradients, Sample
from engine.ops.elementwise import POSITIVE, Elementwise, op


@op("power")
class Power(Elementwise):
    """x ** exponent of values of at least 0; small whole exponents of any value."""

    samples = (*(Sample(sample.shapes, {"exponent": exponent}, positive=sample.positive) for sample in POSITIVE
                 for exponent in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, -0.7)),
               Sample(((3, 17),), {"exponent": 3.0}))
    cost = 20

    @staticmethod
    def expression(m: Any, x: Any, *, exponent: float) -> Any:
        if exponent in (1.0, 2.0, 3.0, 4.0):
            result = x
            for _ in range(int(exponent) - 1):
                result = result * x
            return result
        if exponent == 0.5:
            return m.sqrt(x)
        return m.exp(exponent * m.log(x)) if exponent else x * 0.0 + 1.0

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (g,) = grads
        assert g is not None
        exponent = node.attrs["exponent"]
        slope = b.op("scale", b.op("power", node.inputs[0], exponent=exponent - 1.0), factor=exponent)
        return (b.op("multiply", g, slope),)
