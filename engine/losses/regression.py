"""Losses of numbers."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

from engine.graph.ir import GraphBuilder, Value
from engine.losses.base import Loss
from engine.losses.target import EPSILON, as_output, normalized, over_last
from engine.options import integer, number, option
from engine.registry import register


@dataclass(frozen=True, kw_only=True)
class Regression(Loss):
    """A mean over the last dimension. Target and output: (batch, …), of one shape."""

    wants = "numeric"
    accepts = ("numeric",)

    @abstractmethod
    def terms(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        """The loss of each element."""

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        return over_last(b, self.terms(b, as_output(b, target, output), output))


@register("loss", aliases=("mse", "MSE"))
@dataclass(frozen=True, kw_only=True)
class MeanSquaredError(Regression):
    """The mean of (target - output)²."""

    def terms(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        return b.op("square", b.op("subtract", target, output))


@register("loss", aliases=("mae", "MAE"))
@dataclass(frozen=True, kw_only=True)
class MeanAbsoluteError(Regression):
    """The mean of |target - output|."""

    def terms(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        return b.op("abs", b.op("subtract", target, output))


@register("loss", aliases=("mape", "MAPE"))
@dataclass(frozen=True, kw_only=True)
class MeanAbsolutePercentageError(Regression):
    """The mean of 100 |target - output| / |target|."""

    def terms(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        size = b.op("maximum", b.op("abs", target), b.constant(EPSILON))
        return b.op("scale", b.op("abs", b.op("divide", b.op("subtract", target, output), size)), factor=100.0)


@register("loss", aliases=("msle", "MSLE"))
@dataclass(frozen=True, kw_only=True)
class MeanSquaredLogarithmicError(Regression):
    """The mean of (log(1 + target) - log(1 + output))², for values of at least 0."""

    def terms(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        return b.op("square", b.op("subtract", self._log(b, output), self._log(b, target)))

    @staticmethod
    def _log(b: GraphBuilder, x: Value) -> Value:
        return b.op("log", b.op("scale", b.op("maximum", x, b.constant(EPSILON)), factor=1.0, offset=1.0))


@register("loss", aliases=("huber_loss",))
@dataclass(frozen=True, kw_only=True)
class Huber(Regression):
    """The mean of e²/2 for |e| up to `delta`, delta |e| - delta²/2 above (Huber, 1964)."""

    delta: float = option(number(above=0), default=1.0)

    def terms(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        error = b.op("abs", b.op("subtract", target, output))
        # With q = min(|e|, delta), both branches are q (|e| - q/2).
        quadratic = b.op("clip", error, low=0.0, high=self.delta)
        rest = b.op("subtract", error, b.op("scale", quadratic, factor=0.5))
        return b.op("multiply", quadratic, rest)


@register("loss", aliases=("logcosh",))
@dataclass(frozen=True, kw_only=True)
class LogCosh(Regression):
    """The mean of log(cosh(output - target)): like squares near 0, like absolute values far away."""

    def terms(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        error = b.op("subtract", output, target)
        rest = b.op("softplus", b.op("scale", error, factor=-2.0))
        return b.op("scale", b.op("add", error, rest), factor=1.0, offset=-math.log(2.0))


@register("loss")
@dataclass(frozen=True, kw_only=True)
class Poisson(Regression):
    """The mean of output - target * log(output): counts, up to a constant."""

    def terms(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        log = b.op("log", b.op("scale", output, factor=1.0, offset=EPSILON))
        return b.op("subtract", output, b.op("multiply", target, log))


@register("loss", aliases=("cosine_proximity",))
@dataclass(frozen=True, kw_only=True)
class CosineSimilarity(Loss):
    """Minus the cosine of the angle between target and output: -1 where they point the same way.

    Target and output: (batch, …), of one shape.
    """

    wants = "numeric"
    accepts = ("numeric",)

    axis: int = option(integer(minimum=-1, maximum=-1), default=-1, doc="vectors are the last dimension")

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        axes = (output.type.rank - 1,)
        target = normalized(b, as_output(b, target, output), axes)
        return b.op("negative", over_last(b, b.op("multiply", target, normalized(b, output, axes)), "reduce_sum"))
