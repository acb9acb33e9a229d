"""Losses of numbers."""

from __future__ import annotations

from dataclasses import dataclass

from engine.graph.ir import GraphBuilder, Value
from engine.losses.base import Loss
from engine.losses.target import as_output, per_example
from engine.options import number, option
from engine.registry import register


@dataclass(frozen=True, kw_only=True)
class Regression(Loss):
    """A loss of target - output. Target and output: (batch, …), of one shape."""

    wants = "numeric"
    accepts = ("numeric",)

    def difference(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        """target - output."""
        return b.op("subtract", as_output(b, target, output), output)


@register("loss", aliases=("mse", "MSE"))
@dataclass(frozen=True, kw_only=True)
class MeanSquaredError(Regression):
    """The mean of (target - output)²."""

    def build(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        return per_example(b, b.op("square", self.difference(b, target, output)))


@register("loss", aliases=("mae", "MAE"))
@dataclass(frozen=True, kw_only=True)
class MeanAbsoluteError(Regression):
    """The mean of |target - output|."""

    def build(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        return per_example(b, b.op("abs", self.difference(b, target, output)))


@register("loss", aliases=("huber_loss",))
@dataclass(frozen=True, kw_only=True)
class Huber(Regression):
    """The mean of e²/2 for |e| up to `delta`, delta |e| - delta²/2 above (Huber, 1964)."""

    delta: float = option(number(above=0), default=1.0)

    def build(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        error = b.op("abs", self.difference(b, target, output))
        # With q = min(|e|, delta), both branches are q (|e| - q/2).
        quadratic = b.op("clip", error, low=0.0, high=self.delta)
        rest = b.op("subtract", error, b.op("scale", quadratic, factor=0.5))
        return per_example(b, b.op("multiply", quadratic, rest))
