"""Metrics of yes and no at many thresholds: areas under curves, and the best of one rate at a level of another."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from engine.graph.ir import GraphBuilder, Value
from engine.losses.target import EPSILON, Target, as_output, elements
from engine.metrics.base import Totals, ones, ratio, widened
from engine.metrics.confusion import Confusion
from engine.options import Mismatch, boolean, choice, integer, number, option, optional, sequence
from engine.registry import register

_share = number(minimum=0, maximum=1)


def weights_of(b: GraphBuilder, output: Value, weight: Value | None) -> Value:
    """A weight for each element of the output."""
    weights = ones(b, output)
    return weights if weight is None else b.op("multiply", weights, widened(b, weight, output))


def counts(b: GraphBuilder, scores: Value, truth: Value, weights: Value, thresholds: int) -> Value:
    """True and false positives, true and false negatives at evenly spaced thresholds: (4 * thresholds,)."""
    # As Keras: what is no probability counts as the nearest one.
    scores = b.op("clip", scores, low=0.0, high=1.0)
    flat = (elements(scores),)
    values = (b.op("reshape", value, shape=flat) for value in (scores, truth, weights))
    return b.op("reshape", b.op("histogram", *values, thresholds=thresholds), shape=(4 * thresholds,))


def counts_at(b: GraphBuilder, scores: Value, truth: Value, weights: Value, cuts: np.ndarray) -> Value:
    """The same at any thresholds."""
    column = (elements(scores), 1)
    scores, truth, weights = (b.op("reshape", value, shape=column) for value in (scores, truth, weights))
    above = b.op("greater", b.op("clip", scores, low=0.0, high=1.0), b.constant(cuts))
    yes, no = b.op("multiply", truth, weights), b.op("multiply", b.op("scale", truth, factor=-1.0, offset=1.0), weights)
    below = b.op("scale", above, factor=-1.0, offset=1.0)
    parts = [b.op("multiply", above, yes), b.op("multiply", above, no), b.op("multiply", below, no),
             b.op("multiply", below, yes)]
    return b.op("concatenate", *(b.op("reduce_sum", part, axes=(0,)) for part in parts), axis=0)


@register("metric")
@dataclass(frozen=True, kw_only=True)
class AUC(Confusion):
    """The area under the receiver operating characteristic, the precision-recall or the precision-recall-gain curve.

    Interpolation of the precision-recall curve: Davis and Goadrich, ICML 2006; gains: Flach and Kull, NIPS 2015.
    """

    num_thresholds: int = option(integer(minimum=2, maximum=10_000), default=200)
    curve: str = option(choice("ROC", "PR", "PRGAIN"), default="ROC")
    summation_method: str = option(choice("interpolation", "minoring", "majoring"), default="interpolation")
    thresholds: tuple[float, ...] | None = option(optional(sequence(_share, 1, 1000)), default=None,
                                                  doc="null: num_thresholds evenly spaced ones")
    multi_label: bool = option(boolean, default=False, doc="an area for each output unit, and their mean")
    num_labels: int | None = option(optional(integer(minimum=1)), default=None, doc="the output's units")
    label_weights: tuple[float, ...] | None = option(optional(sequence(number(minimum=0), 1, 1000)), default=None,
                                                     doc="weights of the units' areas in the mean")
    from_logits: bool = option(boolean, default=False)

    def check(self, pointer: str) -> None:
        """Options of several labels need `multi_label`."""
        for name in ("num_labels", "label_weights"):
            if getattr(self, name) is not None and not self.multi_label:
                raise Mismatch(f"{pointer}/{name}", "null, as multi_label is false", getattr(self, name))

    def fault(self, target: Target, output: tuple[int, ...]) -> str | None:
        if self.multi_label:
            labels = {"num_labels": self.num_labels,
                      "label_weights": None if self.label_weights is None else len(self.label_weights)}
            for name, count in labels.items():
                if len(output) != 1 or count not in (None, output[0]):
                    return f"expected an output of shape (batch, {name}), received {('batch', *output)} and {count}"
        return super().fault(target, output)

    def _size(self) -> int:
        return self.num_thresholds if self.thresholds is None else len(self.thresholds) + 2

    def build(self, b: GraphBuilder, target: Value, output: Value, weight: Value | None,
              mask: Value | None = None) -> Value:
        truth, weights = as_output(b, target, output), weights_of(b, output, weight)
        scores = b.op("sigmoid", output) if self.from_logits else output
        if not self.multi_label:
            return self._counts(b, scores, truth, weights)
        parts = []
        for unit in range(output.shape[-1]):
            part = {"axis": 1, "start": unit, "stop": unit + 1}
            parts.append(self._counts(b, *(b.op("slice", value, **part) for value in (scores, truth, weights))))
        return b.op("concatenate", *parts, axis=0) if len(parts) > 1 else parts[0]

    def _counts(self, b: GraphBuilder, scores: Value, truth: Value, weights: Value) -> Value:
        if self.thresholds is None:
            return counts(b, scores, truth, weights, self.num_thresholds)
        cuts = np.array([-EPSILON, *sorted(self.thresholds), 1 + EPSILON], np.float32)
        return counts_at(b, scores, truth, weights, cuts)

    def result(self, total: Totals) -> float:
        areas = [self._area(*part) for part in total.reshape(-1, 4, self._size())]
        weights = self.label_weights or (1.0,) * len(areas)
        return ratio(sum(area * weight for area, weight in zip(areas, weights, strict=True)), sum(weights))

    def _area(self, tp: Totals, fp: Totals, tn: Totals, fn: Totals) -> float:
        if self.curve == "PR" and self.summation_method == "interpolation":
            return _interpolated(tp, fp, fn)
        recall = _divide(tp, tp + fn)
        if self.curve == "PRGAIN":
            x, y = _gains(tp, fp, tn, fn)
        else:
            x, y = (_divide(fp, fp + tn), recall) if self.curve == "ROC" else (recall, _divide(tp, tp + fp))
        heights = {"interpolation": (y[:-1] + y[1:]) / 2, "minoring": np.minimum(y[:-1], y[1:]),
                   "majoring": np.maximum(y[:-1], y[1:])}[self.summation_method]
        return float(((x[:-1] - x[1:]) * heights).sum())


def _gains(tp: Totals, fp: Totals, tn: Totals, fn: Totals) -> tuple[Totals, Totals]:
    """Recall gain and precision gain, as far as there are true positives; never a recall gain below 0."""
    scale = _divide(tp + fn, tn + fp)
    recall = np.where(tp == 0, 0.0, 1 - scale * _divide(fn, tp))
    return np.maximum(recall, 0), np.where(tp == 0, 1.0, 1 - scale * _divide(fp, tp))


def _interpolated(tp: Totals, fp: Totals, fn: Totals) -> float:
    p = tp + fp
    slope = _divide(tp[:-1] - tp[1:], np.maximum(p[:-1] - p[1:], 0))
    intercept = tp[1:] - slope * p[1:]
    growth = np.where((p[:-1] > 0) & (p[1:] > 0), _divide(p[:-1], p[1:]), 1.0)
    return float(_divide(slope * (tp[:-1] - tp[1:] + intercept * np.log(growth)), tp[1:] + fn[1:]).sum())


def _divide(numerator: Totals, denominator: Totals) -> Totals:
    """The quotients, 0 where the denominator is."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)


@dataclass(frozen=True, kw_only=True)
class AtLevel(Confusion):
    """The best of one rate over the thresholds at which another reaches a level; 0 if it never does."""

    num_thresholds: int = option(integer(minimum=2, maximum=10_000), default=200)
    class_id: int | None = option(optional(integer(minimum=0)), default=None, doc="judge one class alone")

    def fault(self, target: Target, output: tuple[int, ...]) -> str | None:
        if self.class_id is not None and self.class_id >= output[-1]:
            return f"expected class_id below {output[-1]}, the output's units, received {self.class_id}"
        return super().fault(target, output)

    def build(self, b: GraphBuilder, target: Value, output: Value, weight: Value | None,
              mask: Value | None = None) -> Value:
        scores, truth, weights = output, as_output(b, target, output), weights_of(b, output, weight)
        if self.class_id is not None:
            part = {"axis": output.type.rank - 1, "start": self.class_id, "stop": self.class_id + 1}
            scores, truth, weights = (b.op("slice", value, **part) for value in (scores, truth, weights))
        return counts(b, scores, truth, weights, self.num_thresholds)

    @abstractmethod
    def rates(self, tp: Totals, fp: Totals, tn: Totals, fn: Totals) -> tuple[Totals, Totals, float]:
        """The rate that must reach a level, the one that is to be best, and the level."""

    def result(self, total: Totals) -> float:
        bound, best, level = self.rates(*total.reshape(4, self.num_thresholds))
        return float(np.where(bound >= level, best, 0.0).max())


def _sensitivity(tp: Totals, fn: Totals) -> Totals:
    return _divide(tp, tp + fn)


@register("metric")
@dataclass(frozen=True, kw_only=True)
class SensitivityAtSpecificity(AtLevel):
    """The best share of positives that are found where at least `specificity` of the negatives are left alone."""

    specificity: float = option(_share)

    def rates(self, tp: Totals, fp: Totals, tn: Totals, fn: Totals) -> tuple[Totals, Totals, float]:
        return _divide(tn, tn + fp), _sensitivity(tp, fn), self.specificity


@register("metric")
@dataclass(frozen=True, kw_only=True)
class SpecificityAtSensitivity(AtLevel):
    """The best share of negatives that are left alone where at least `sensitivity` of the positives are found."""

    sensitivity: float = option(_share)

    def rates(self, tp: Totals, fp: Totals, tn: Totals, fn: Totals) -> tuple[Totals, Totals, float]:
        return _sensitivity(tp, fn), _divide(tn, tn + fp), self.sensitivity


@register("metric")
@dataclass(frozen=True, kw_only=True)
class PrecisionAtRecall(AtLevel):
    """The best precision where recall is at least `recall`."""

    recall: float = option(_share)

    def rates(self, tp: Totals, fp: Totals, tn: Totals, fn: Totals) -> tuple[Totals, Totals, float]:
        return _sensitivity(tp, fn), _divide(tp, tp + fp), self.recall


@register("metric")
@dataclass(frozen=True, kw_only=True)
class RecallAtPrecision(AtLevel):
    """The best recall where precision is at least `precision`."""

    precision: float = option(_share)

    def rates(self, tp: Totals, fp: Totals, tn: Totals, fn: Totals) -> tuple[Totals, Totals, float]:
        return _divide(tp, tp + fp), _sensitivity(tp, fn), self.precision
