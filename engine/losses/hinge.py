"""Losses of margins."""

from __future__ import annotations

from dataclasses import dataclass

from engine.graph.ir import GraphBuilder, Value
from engine.losses.base import Loss
from engine.losses.target import Target, as_output, complement, over_last
from engine.registry import register


def signs(b: GraphBuilder, target: Value, output: Value) -> Value:
    """Targets of -1 and 1; as in Keras those of 0 and 1, if a batch has no others, are taken for such."""
    binary = target.dtype == "int32"
    target = as_output(b, target, output)
    if binary:
        return b.op("scale", target, factor=2.0, offset=-1.0)
    zero, one = b.op("equal", target, b.constant(0.0)), b.op("equal", target, b.constant(1.0))
    other = complement(b, b.op("add", zero, one))
    foreign = b.op("reduce_max", other, axes=tuple(range(other.type.rank)))
    # 2 t - 1 = t + (t - 1)
    moved = b.op("scale", target, factor=1.0, offset=-1.0)
    return b.op("add", target, b.op("multiply", complement(b, foreign), moved))


@register("loss")
@dataclass(frozen=True, kw_only=True)
class Hinge(Loss):
    """The mean of max(1 - target * output, 0). Target: -1 or 1, or 0 or 1, in the output's shape."""

    wants = "numeric"
    accepts = ("classes", "numeric")

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        return over_last(b, self.margins(b, target, output))

    def margins(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        """max(1 - target * output, 0)."""
        product = b.op("multiply", signs(b, target, output), output)
        return b.op("maximum", complement(b, product), b.constant(0.0))

    def expected_outputs(self, target: Target) -> tuple[tuple[int, ...], ...]:
        if target.kind == "classes" and target.classes == 2:
            return (1,), (2,)
        return super().expected_outputs(target)


@register("loss")
@dataclass(frozen=True, kw_only=True)
class SquaredHinge(Hinge):
    """The mean of max(1 - target * output, 0)². Target: -1 or 1, or 0 or 1, in the output's shape."""

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        return over_last(b, b.op("square", self.margins(b, target, output)))


@register("loss")
@dataclass(frozen=True, kw_only=True)
class CategoricalHinge(Loss):
    """max(the largest output of another class - that of the true class + 1, 0); class codes are made one-hot.

    Target: int32 (batch,) or 0 and 1 in the output's shape. Output: (batch, …, classes).
    """

    wants = "classes"
    accepts = ("classes", "numeric")

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        target = as_output(b, target, output)
        own = over_last(b, b.op("multiply", output, target), "reduce_sum")
        other = over_last(b, b.op("multiply", output, complement(b, target)), "reduce_max")
        margin = b.op("scale", b.op("subtract", other, own), factor=1.0, offset=1.0)
        return b.op("maximum", margin, b.constant(0.0))
