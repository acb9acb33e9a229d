"""How well outputs follow their targets: correlations, and the share of the variance that is explained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.graph.ir import GraphBuilder, Value
from engine.losses.target import EPSILON, Target, as_output
from engine.metrics.base import Mean, Metric, Totals, column_sums, ones, shown, widened
from engine.options import axes, choice, integer, option
from engine.registry import register


@dataclass(frozen=True, kw_only=True)
class Correlation(Mean):
    """A number for each example, over the dimensions `axis` of its target and output."""

    axis: tuple[int, ...] = option(axes(), default=(-1,), doc="dimensions to correlate over; not the batch")

    def fault(self, target: Target, output: tuple[int, ...]) -> str | None:
        rank = len(output) + 1
        if any(not -rank < axis < rank or axis == 0 for axis in self.axis):
            return f"expected axes of {shown(output)} without the batch, received {list(self.axis)}"
        return super().fault(target, output)

    def centred(self, b: GraphBuilder, x: Value) -> tuple[Value, Value, Value]:
        """Mean, deviation from it, and variance."""
        over = self._over(x)
        mean = b.op("reduce_mean", x, axes=over, keepdims=True)
        deviation = b.op("subtract", x, mean)
        return mean, deviation, b.op("reduce_mean", b.op("square", deviation), axes=over, keepdims=True)

    def mean(self, b: GraphBuilder, x: Value) -> Value:
        """The mean over the option's axes."""
        return b.op("reduce_mean", x, axes=self._over(x))

    def _over(self, x: Value) -> tuple[int, ...]:
        return tuple(sorted({axis % x.type.rank for axis in self.axis}))


@register("metric")
@dataclass(frozen=True, kw_only=True)
class PearsonCorrelation(Correlation):
    """The mean of Pearson's correlation between target and output; NaN where either is constant."""

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        scaled = []
        for value in (as_output(b, target, output), output):
            _, deviation, variance = self.centred(b, value)
            scaled.append(b.op("divide", deviation, b.op("sqrt", variance)))
        return self.mean(b, b.op("multiply", *scaled))


@register("metric")
@dataclass(frozen=True, kw_only=True)
class ConcordanceCorrelation(Correlation):
    """The mean of Lin's concordance: 2 covariance / (both variances + (difference of means)²) (Biometrics, 1989)."""

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        true_mean, true_deviation, true_variance = self.centred(b, as_output(b, target, output))
        mean, deviation, variance = self.centred(b, output)
        apart = b.op("square", b.op("subtract", true_mean, mean))
        whole = b.op("scale", b.op("add", b.op("add", true_variance, variance), apart), factor=1.0, offset=EPSILON)
        both = b.op("scale", b.op("multiply", true_deviation, deviation), factor=2.0)
        return self.mean(b, b.op("divide", both, whole))


@register("metric")
@dataclass(frozen=True, kw_only=True)
class R2Score(Metric):
    """The share of the target's variance that is explained: 1 - squared errors / squared deviations."""

    default_name = "r2_score"

    class_aggregation: str = option(choice("uniform_average", "variance_weighted_average"), default="uniform_average",
                                    doc="how the scores of several outputs become one number")
    num_regressors: int = option(integer(minimum=0), default=0, doc="columns, for the adjusted score")

    def build(self, b: GraphBuilder, target: Value, output: Value, weight: Value | None,
              mask: Value | None = None) -> Value:
        target = as_output(b, target, output)
        weights = ones(b, output)
        if weight is not None:
            weights = b.op("multiply", weights, widened(b, weight, output))
        error = b.op("square", b.op("subtract", target, output))
        weighted = b.op("multiply", target, weights)
        parts = (weighted, b.op("multiply", target, weighted), b.op("multiply", error, weights), weights,
                 ones(b, output))
        return column_sums(b, *parts)

    def result(self, total: Totals) -> float:
        first, second, error, count, samples = total.reshape(5, -1)
        if not count.any():
            return 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = second - first * (first / count)
            scores = 1 - error / spread
            scores = np.where(np.isinf(scores), 0.0, scores)
            if self.class_aggregation == "uniform_average":
                score = scores.mean()
            else:
                score = (spread * scores).sum() / spread.sum()
        n, p = samples.sum(), self.num_regressors
        # With as many regressors as samples Keras falls back to the plain score.
        return float(1 - (1 - score) * (n - 1) / (n - p - 1) if p and n - p > 1 else score)
