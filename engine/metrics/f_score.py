"""F scores: means of precision and recall."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from engine.graph.ir import GraphBuilder, Value
from engine.losses.target import EPSILON, Target, as_output, complement
from engine.metrics.base import Metric, Totals, column_sums, expect_classes, shown, widened
from engine.options import Mismatch, Reader, number, option, optional
from engine.registry import register

AVERAGES = ("micro", "macro", "weighted")


def _average(value: Any, pointer: str) -> str:
    if value not in AVERAGES:
        raise Mismatch(pointer, f"one of {', '.join(AVERAGES)} (a log is one number, not one for each class)", value)
    return str(value)


average = Reader(_average, {"type": "string", "enum": list(AVERAGES)})


@dataclass(frozen=True, kw_only=True)
class FScore(Metric):
    """The F score of the classes' precision and recall; `average` says of which classes' counts or scores."""

    beta_of_one: ClassVar[float] = 1.0

    average: str = option(average, default="macro",
                          doc="micro: counts of all classes together; macro: the classes' mean; weighted: by examples. "
                              "Keras's default, a score for each class, is no number")
    threshold: float | None = option(optional(number(above=0, maximum=1)), default=None,
                                     doc="a class is said above it; null: the largest output is")

    def fault(self, target: Target, output: tuple[int, ...]) -> str | None:
        if target.kind == "classes" and output != (1,):
            return expect_classes(target, output)
        if len(output) != 1:
            return f"expected an output of shape (batch, classes), received {shown(output)}"
        return super().fault(target, output)

    def build(self, b: GraphBuilder, target: Value, output: Value, weight: Value | None,
              mask: Value | None = None) -> Value:
        truth, said = as_output(b, target, output), self._said(b, output)
        parts = [b.op("multiply", said, truth), b.op("multiply", said, complement(b, truth)),
                 b.op("multiply", complement(b, said), truth), truth]
        if weight is not None:
            parts = [b.op("multiply", part, widened(b, weight, part)) for part in parts]
        return column_sums(b, *parts)

    def _said(self, b: GraphBuilder, output: Value) -> Value:
        if self.threshold is not None:
            return b.op("greater", output, b.constant(self.threshold))
        largest = b.op("reduce_max", output, axes=(1,), keepdims=True)
        # A row of zeros names no class.
        some = b.op("greater", b.op("abs", output), b.constant(1e-9))
        return b.op("multiply", b.op("greater_equal", output, largest), some)

    def result(self, total: Totals) -> float:
        right, invented, missed, weights = total.reshape(4, -1)
        if self.average == "micro":
            right, invented, missed = (part.sum(keepdims=True) for part in (right, invented, missed))
        precision, recall = right / (right + invented + EPSILON), right / (right + missed + EPSILON)
        squared = self._beta() ** 2
        scores = (1 + squared) * precision * recall / (squared * precision + recall + EPSILON)
        if self.average == "weighted":
            return float((scores * weights).sum() / (weights.sum() + EPSILON))
        return float(np.mean(scores))

    def _beta(self) -> float:
        return self.beta_of_one


@register("metric")
@dataclass(frozen=True, kw_only=True)
class FBetaScore(FScore):
    """(1 + beta²) precision * recall / (beta² precision + recall)."""

    default_name = "fbeta_score"

    beta: float = option(number(above=0), default=1.0, doc="how much more recall counts than precision")

    def _beta(self) -> float:
        return self.beta


@register("metric")
@dataclass(frozen=True, kw_only=True)
class F1Score(FScore):
    """2 precision * recall / (precision + recall)."""

    default_name = "f1_score"
