"""Means of what a loss says of each example."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from engine.graph.ir import GraphBuilder, Value
from engine.losses.base import Loss
from engine.losses.crossentropy import BinaryCrossentropy as BinaryCrossentropyLoss
from engine.losses.crossentropy import CategoricalCrossentropy as CategoricalCrossentropyLoss
from engine.losses.crossentropy import SparseCategoricalCrossentropy as SparseCategoricalCrossentropyLoss
from engine.losses.crossentropy import last_axis, smoothing
from engine.losses.hinge import CategoricalHinge as CategoricalHingeLoss
from engine.losses.hinge import Hinge as HingeLoss
from engine.losses.hinge import SquaredHinge as SquaredHingeLoss
from engine.losses.overlap import KLDivergence as KLDivergenceLoss
from engine.losses.regression import CosineSimilarity as CosineSimilarityLoss
from engine.losses.regression import LogCosh
from engine.losses.regression import MeanAbsoluteError as MeanAbsoluteErrorLoss
from engine.losses.regression import MeanAbsolutePercentageError as MeanAbsolutePercentageErrorLoss
from engine.losses.regression import MeanSquaredError as MeanSquaredErrorLoss
from engine.losses.regression import MeanSquaredLogarithmicError as MeanSquaredLogarithmicErrorLoss
from engine.losses.regression import Poisson as PoissonLoss
from engine.losses.target import Target
from engine.metrics.base import Mean, Totals, shown
from engine.options import boolean, integer, option, optional
from engine.registry import register


@dataclass(frozen=True, kw_only=True)
class LossMean(Mean):
    """The mean of a loss."""

    better = "min"
    formula: ClassVar[type[Loss]]

    def loss(self) -> Loss:
        """The loss, with those of its options that the metric has."""
        return self.formula()

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        return self.loss().values(b, target, output)

    def fault(self, target: Target, output: tuple[int, ...]) -> str | None:
        loss = self.loss()
        if target.kind == "classes" and target.kind not in loss.accepts:
            return super().fault(target, output)  # codes are made one-hot
        if target.kind not in loss.accepts:
            return "expected a target of classes, received numbers"
        if not loss.fits(target, output):
            return f"expected an output of shape {shown(loss.expected_outputs(target)[0])}, received {shown(output)}"
        return None


@register("metric", aliases=("mse", "MSE"))
@dataclass(frozen=True, kw_only=True)
class MeanSquaredError(LossMean):
    """The mean of (target - output)²."""

    formula = MeanSquaredErrorLoss


@register("metric", aliases=("rmse", "RMSE"))
@dataclass(frozen=True, kw_only=True)
class RootMeanSquaredError(MeanSquaredError):
    """The square root of the mean of (target - output)²."""

    def result(self, total: Totals) -> float:
        return math.sqrt(super().result(total))


@register("metric", aliases=("mae", "MAE"))
@dataclass(frozen=True, kw_only=True)
class MeanAbsoluteError(LossMean):
    """The mean of |target - output|."""

    formula = MeanAbsoluteErrorLoss


@register("metric", aliases=("mape", "MAPE"))
@dataclass(frozen=True, kw_only=True)
class MeanAbsolutePercentageError(LossMean):
    """The mean of 100 |target - output| / |target|."""

    formula = MeanAbsolutePercentageErrorLoss


@register("metric", aliases=("msle", "MSLE"))
@dataclass(frozen=True, kw_only=True)
class MeanSquaredLogarithmicError(LossMean):
    """The mean of (log(1 + target) - log(1 + output))²."""

    formula = MeanSquaredLogarithmicErrorLoss


@register("metric", aliases=("logcosh",))
@dataclass(frozen=True, kw_only=True)
class LogCoshError(LossMean):
    """The mean of log(cosh(output - target))."""

    default_name = "logcosh"
    formula = LogCosh


@register("metric")
@dataclass(frozen=True, kw_only=True)
class Poisson(LossMean):
    """The mean of output - target * log(output)."""

    formula = PoissonLoss


@register("metric", aliases=("kl_divergence", "kld", "KLD"))
@dataclass(frozen=True, kw_only=True)
class KLDivergence(LossMean):
    """The mean of sum(target * log(target / output))."""

    default_name = "kl_divergence"
    formula = KLDivergenceLoss


@register("metric")
@dataclass(frozen=True, kw_only=True)
class CosineSimilarity(LossMean):
    """The mean cosine of the angle between target and output: 1 where they point the same way."""

    better = "max"
    formula = CosineSimilarityLoss

    axis: int = option(last_axis, default=-1)

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        return b.op("negative", super().values(b, target, output))


@register("metric")
@dataclass(frozen=True, kw_only=True)
class Hinge(LossMean):
    """The mean of max(1 - target * output, 0)."""

    formula = HingeLoss


@register("metric")
@dataclass(frozen=True, kw_only=True)
class SquaredHinge(LossMean):
    """The mean of max(1 - target * output, 0)²."""

    formula = SquaredHingeLoss


@register("metric")
@dataclass(frozen=True, kw_only=True)
class CategoricalHinge(LossMean):
    """The mean of max(the largest output of another class - that of the true class + 1, 0)."""

    formula = CategoricalHingeLoss


@register("metric", aliases=("bce", "BCE"))
@dataclass(frozen=True, kw_only=True)
class BinaryCrossentropy(LossMean):
    """The mean of -(target * log(output) + (1 - target) * log(1 - output))."""

    of_probabilities = True

    from_logits: bool = option(boolean, default=False)
    label_smoothing: float = option(smoothing, default=0.0)

    def loss(self) -> Loss:
        return BinaryCrossentropyLoss(from_logits=self.from_logits, label_smoothing=self.label_smoothing)


@register("metric")
@dataclass(frozen=True, kw_only=True)
class CategoricalCrossentropy(LossMean):
    """The mean of -sum(target * log(output)); class codes are made one-hot."""

    of_probabilities = True

    from_logits: bool = option(boolean, default=False)
    label_smoothing: float = option(smoothing, default=0.0)
    axis: int = option(last_axis, default=-1)

    def loss(self) -> Loss:
        return CategoricalCrossentropyLoss(from_logits=self.from_logits, label_smoothing=self.label_smoothing)


@register("metric")
@dataclass(frozen=True, kw_only=True)
class SparseCategoricalCrossentropy(LossMean):
    """The mean of -log of the probability of the true class; one of `ignore_class` counts as 0, as in Keras."""

    of_probabilities = True

    from_logits: bool = option(boolean, default=False)
    ignore_class: int | None = option(optional(integer(minimum=-(2**24), maximum=2**24)), default=None)
    axis: int = option(last_axis, default=-1)

    def loss(self) -> Loss:
        return SparseCategoricalCrossentropyLoss(from_logits=self.from_logits, ignore_class=self.ignore_class)

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        values, loss = super().values(b, target, output), self.loss()
        mask = loss.mask(b, target, values)
        return values if mask is None else b.op("where", mask, values, b.constant(0.0))
