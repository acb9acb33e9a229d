"""Limits of the signs and norms of weights."""

from __future__ import annotations

from dataclasses import dataclass

from engine.constraints.base import Constraint
from engine.graph.ir import GraphBuilder, Value
from engine.losses.target import EPSILON
from engine.ops.base import ShapeMismatch
from engine.options import Mismatch, axes, number, option
from engine.registry import register


@register("constraint")
@dataclass(frozen=True, kw_only=True)
class NonNeg(Constraint):
    """No element below 0."""

    def build(self, b: GraphBuilder, weight: Value) -> Value:
        return b.op("maximum", weight, b.constant(0.0))


@dataclass(frozen=True, kw_only=True)
class Norm(Constraint):
    """A constraint of the Euclidean norms over `axis`: for a Dense kernel 0, for a Conv2D kernel [0, 1, 2]."""

    axis: tuple[int, ...] = option(axes(), default=(0,), doc="the axes over which norms are taken")

    def norms(self, b: GraphBuilder, weight: Value) -> Value:
        """The norms, their axes kept with size 1."""
        rank = weight.type.rank
        if any(not -rank <= axis < rank for axis in self.axis):
            raise ShapeMismatch(f"axes of a weight of rank {rank}", list(self.axis))
        over = tuple(sorted({axis % rank for axis in self.axis}))
        return b.op("sqrt", b.op("reduce_sum", b.op("square", weight), axes=over, keepdims=True))

    @staticmethod
    def scaled(b: GraphBuilder, weight: Value, desired: Value, norms: Value) -> Value:
        """The weight with the desired norms, up to Keras's epsilon."""
        return b.op("multiply", weight, b.op("divide", desired, b.op("scale", norms, factor=1.0, offset=EPSILON)))


@register("constraint")
@dataclass(frozen=True, kw_only=True)
class MaxNorm(Norm):
    """No norm above `max_value` (Srivastava et al., JMLR 2014)."""

    max_value: float = option(number(minimum=0), default=2.0)

    def build(self, b: GraphBuilder, weight: Value) -> Value:
        norms = self.norms(b, weight)
        return self.scaled(b, weight, b.op("clip", norms, low=0.0, high=self.max_value), norms)


@register("constraint")
@dataclass(frozen=True, kw_only=True)
class UnitNorm(Norm):
    """Every norm is 1."""

    def build(self, b: GraphBuilder, weight: Value) -> Value:
        return b.op("divide", weight, b.op("scale", self.norms(b, weight), factor=1.0, offset=EPSILON))


@register("constraint")
@dataclass(frozen=True, kw_only=True)
class MinMaxNorm(Norm):
    """Norms from `min_value` to `max_value`; each update takes a share `rate` of the way there."""

    min_value: float = option(number(minimum=0), default=0.0)
    max_value: float = option(number(minimum=0), default=1.0)
    rate: float = option(number(minimum=0, maximum=1), default=1.0)

    def check(self, pointer: str) -> None:
        """`min_value` may not lie above `max_value`."""
        if self.min_value > self.max_value:
            raise Mismatch(f"{pointer}/max_value", f"a number of at least min_value ({self.min_value:g})",
                           self.max_value)

    def build(self, b: GraphBuilder, weight: Value) -> Value:
        norms = self.norms(b, weight)
        inside = b.op("clip", norms, low=self.min_value, high=self.max_value)
        desired = b.op("add", b.op("scale", inside, factor=self.rate), b.op("scale", norms, factor=1 - self.rate))
        return self.scaled(b, weight, desired, norms)
