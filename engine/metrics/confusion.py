"""Metrics of yes and no: precision, recall, and the area under a curve of thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.graph.ir import GraphBuilder, Value
from engine.losses.target import Target, as_output, elements
from engine.metrics.base import Metric, Totals, ones, ratio, sums
from engine.options import boolean, choice, integer, number, only, option, optional
from engine.registry import register
from engine.types import Batch


@dataclass(frozen=True, kw_only=True)
class Confusion(Metric):
    """A metric of pairs of a score in [0, 1] and a target of 0 or 1; class codes are made one-hot."""

    of_probabilities = True

    def fault(self, target: Target, output: tuple[int, ...]) -> str | None:
        if target.kind == "classes" and output not in ((1,), (target.classes,)):
            wanted = "(batch, 1)" if target.classes == 2 else f"(batch, {target.classes})"
            return f"expected an output of shape {wanted}, received {('batch', *output)}"
        if target.kind == "classes" and output == (1,) and target.classes != 2:
            return f"expected a target of two classes for one output unit, received {target.classes} classes"
        return super().fault(target, output)


@dataclass(frozen=True, kw_only=True)
class Thresholded(Confusion):
    """A score above `thresholds` says yes. With `class_id`, one class alone is judged."""

    thresholds: float | None = option(optional(number(minimum=0, maximum=1)), default=None, doc="null: 0.5")
    top_k: Any = option(only(None, "TopKCategoricalAccuracy counts top k"), default=None)
    class_id: int | None = option(optional(integer(minimum=0)), default=None)

    def fault(self, target: Target, output: tuple[int, ...]) -> str | None:
        if self.class_id is not None and self.class_id >= output[-1]:
            return f"expected class_id below {output[-1]}, the output's units, received {self.class_id}"
        return super().fault(target, output)

    def decide(self, b: GraphBuilder, target: Value, output: Value) -> tuple[Value, Value]:
        """Truth and answer, 0 or 1 each."""
        truth = as_output(b, target, output)
        threshold = 0.5 if self.thresholds is None else self.thresholds
        answer = b.op("greater", output, b.constant(threshold))
        if self.class_id is not None:
            chosen = {"axis": output.type.rank - 1, "start": self.class_id, "stop": self.class_id + 1}
            truth, answer = b.op("slice", truth, **chosen), b.op("slice", answer, **chosen)
        return truth, answer

    def share(self, b: GraphBuilder, truth: Value, answer: Value, whole: Value, weight: Value | None) -> Value:
        """Sums of the cases where both say yes, and of the whole."""
        right = b.op("multiply", truth, answer)
        if weight is not None:
            widened = b.op("reshape", weight, shape=(Batch(), *(1,) * (truth.type.rank - 1)))
            right, whole = b.op("multiply", right, widened), b.op("multiply", whole, widened)
        return sums(b, right, whole)

    def result(self, total: Totals) -> float:
        return ratio(total[0], total[1])


@register("metric")
@dataclass(frozen=True, kw_only=True)
class Precision(Thresholded):
    """True positives among the positive answers."""

    def build(self, b: GraphBuilder, target: Value, output: Value, weight: Value | None) -> Value:
        truth, answer = self.decide(b, target, output)
        return self.share(b, truth, answer, answer, weight)


@register("metric")
@dataclass(frozen=True, kw_only=True)
class Recall(Thresholded):
    """True positives among the positive examples."""

    def build(self, b: GraphBuilder, target: Value, output: Value, weight: Value | None) -> Value:
        truth, answer = self.decide(b, target, output)
        return self.share(b, truth, answer, truth, weight)


@register("metric")
@dataclass(frozen=True, kw_only=True)
class AUC(Confusion):
    """The area under the receiver operating characteristic or the precision-recall curve, at evenly spaced thresholds.

    Interpolation of the precision-recall curve: Davis and Goadrich, ICML 2006.
    """

    num_thresholds: int = option(integer(minimum=2, maximum=10_000), default=200)
    curve: str = option(choice("ROC", "PR"), default="ROC")
    summation_method: str = option(choice("interpolation", "minoring", "majoring"), default="interpolation")
    thresholds: Any = option(only(None, "thresholds are evenly spaced"), default=None)
    multi_label: bool = option(only(False, "all outputs are judged together"), default=False)
    num_labels: Any = option(only(None, "all outputs are judged together"), default=None)
    label_weights: Any = option(only(None, "all outputs are judged together"), default=None)
    from_logits: bool = option(boolean, default=False)

    def build(self, b: GraphBuilder, target: Value, output: Value, weight: Value | None) -> Value:
        truth = as_output(b, target, output)
        weights = ones(b, output)
        if weight is not None:
            widened = b.op("reshape", weight, shape=(Batch(), *(1,) * (output.type.rank - 1)))
            weights = b.op("multiply", weights, widened)
        # As Keras: what is no probability counts as the nearest one.
        scores = b.op("sigmoid", output) if self.from_logits else b.op("clip", output, low=0.0, high=1.0)
        flat = (Batch(elements(output)),)
        scores, truth, weights = (b.op("reshape", value, shape=flat) for value in (scores, truth, weights))
        counts = b.op("histogram", scores, truth, weights, thresholds=self.num_thresholds)
        return b.op("reshape", counts, shape=(4 * self.num_thresholds,))

    def result(self, total: Totals) -> float:
        tp, fp, tn, fn = total.reshape(4, self.num_thresholds)
        if self.curve == "PR" and self.summation_method == "interpolation":
            return _interpolated(tp, fp, fn)
        recall = _divide(tp, tp + fn)
        x, y = (_divide(fp, fp + tn), recall) if self.curve == "ROC" else (recall, _divide(tp, tp + fp))
        heights = {"interpolation": (y[:-1] + y[1:]) / 2, "minoring": np.minimum(y[:-1], y[1:]),
                   "majoring": np.maximum(y[:-1], y[1:])}[self.summation_method]
        return float(((x[:-1] - x[1:]) * heights).sum())


def _interpolated(tp: Totals, fp: Totals, fn: Totals) -> float:
    p = tp + fp
    slope = _divide(tp[:-1] - tp[1:], np.maximum(p[:-1] - p[1:], 0))
    intercept = tp[1:] - slope * p[1:]
    growth = np.where((p[:-1] > 0) & (p[1:] > 0), _divide(p[:-1], p[1:]), 1.0)
    return float(_divide(slope * (tp[:-1] - tp[1:] + intercept * np.log(growth)), tp[1:] + fn[1:]).sum())


def _divide(numerator: Totals, denominator: Totals) -> Totals:
    """The quotients, 0 where the denominator is."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)
