"""Means of errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.graph.ir import GraphBuilder, Value
from engine.losses.target import as_output
from engine.metrics.base import Mean, Totals
from engine.registry import register


@register("metric", aliases=("mse", "MSE"))
@dataclass(frozen=True, kw_only=True)
class MeanSquaredError(Mean):
    """The mean of (target - output)²."""

    better = "min"

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        return b.op("square", b.op("subtract", as_output(b, target, output), output))


@register("metric", aliases=("rmse", "RMSE"))
@dataclass(frozen=True, kw_only=True)
class RootMeanSquaredError(MeanSquaredError):
    """The square root of the mean of (target - output)²."""

    def result(self, total: Totals) -> float:
        return math.sqrt(super().result(total))


@register("metric", aliases=("mae", "MAE"))
@dataclass(frozen=True, kw_only=True)
class MeanAbsoluteError(Mean):
    """The mean of |target - output|."""

    better = "min"

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        return b.op("abs", b.op("subtract", as_output(b, target, output), output))
