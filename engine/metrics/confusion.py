"""Metrics of yes and no at one threshold: counts of right and wrong answers, precision and recall."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from engine.graph.ir import GraphBuilder, Value
from engine.losses.target import Target, as_output, complement
from engine.metrics.base import Metric, Totals, ratio, shown, sums, widened
from engine.options import Mismatch, Reader, integer, number, option, optional
from engine.registry import register

MOST_RANKED = 512
"""Classes among which the top k are found: each is compared with each."""
_share = number(minimum=0, maximum=1)


def _threshold(value: Any, pointer: str) -> float:
    """A number, or as Keras writes it a list of one."""
    if isinstance(value, (list, tuple)):
        if len(value) != 1:
            raise Mismatch(pointer, "one threshold (a log is one number: give a metric for each)", value)
        value = value[0]
    return float(_share(value, pointer))


threshold = optional(Reader(_threshold, dict(_share.schema)))


@dataclass(frozen=True, kw_only=True)
class Confusion(Metric):
    """A metric of pairs of a score in [0, 1] and a target of 0 or 1; class codes are made one-hot."""

    of_probabilities = True

    def fault(self, target: Target, output: tuple[int, ...]) -> str | None:
        if target.kind == "classes" and output not in ((1,), (target.classes,)):
            wanted = "(batch, 1)" if target.classes == 2 else f"(batch, {target.classes})"
            return f"expected an output of shape {wanted}, received {shown(output)}"
        if target.kind == "classes" and output == (1,) and target.classes != 2:
            count = "1 class" if target.classes == 1 else f"{target.classes} classes"
            return f"expected a target of two classes for one output unit, received {count}"
        return super().fault(target, output)


@dataclass(frozen=True, kw_only=True)
class Answers(Confusion):
    """A score above `thresholds` says yes."""

    thresholds: float | None = option(threshold, default=None, doc="null: 0.5")

    def decide(self, b: GraphBuilder, target: Value, output: Value) -> tuple[Value, Value]:
        """Truth and answer, 0 or 1 each."""
        at = 0.5 if self.thresholds is None else self.thresholds
        return as_output(b, target, output), b.op("greater", output, b.constant(at))


@dataclass(frozen=True, kw_only=True)
class Count(Answers):
    """How often truth and answer are what the class says."""

    better = "min"
    truth: ClassVar[bool]
    answer: ClassVar[bool]

    def build(self, b: GraphBuilder, target: Value, output: Value, weight: Value | None,
              mask: Value | None = None) -> Value:
        truth, answer = self.decide(b, target, output)
        truth = truth if self.truth else complement(b, truth)
        both = b.op("multiply", truth, answer if self.answer else complement(b, answer))
        return sums(b, both if weight is None else b.op("multiply", both, widened(b, weight, both)))

    def result(self, total: Totals) -> float:
        return float(total[0])


@register("metric")
@dataclass(frozen=True, kw_only=True)
class TruePositives(Count):
    """The number of examples that are positive and said to be."""

    better, truth, answer = "max", True, True


@register("metric")
@dataclass(frozen=True, kw_only=True)
class TrueNegatives(Count):
    """The number of examples that are negative and said to be."""

    better, truth, answer = "max", False, False


@register("metric")
@dataclass(frozen=True, kw_only=True)
class FalsePositives(Count):
    """The number of negative examples that are said to be positive."""

    truth, answer = False, True


@register("metric")
@dataclass(frozen=True, kw_only=True)
class FalseNegatives(Count):
    """The number of positive examples that are said to be negative."""

    truth, answer = True, False


@dataclass(frozen=True, kw_only=True)
class Share(Answers):
    """Right positive answers among some whole.

    With `top_k`, the k largest outputs of an example say yes, those above `thresholds` if given; with `class_id`, one
    class alone is judged.
    """

    top_k: int | None = option(optional(integer(minimum=1)), default=None)
    class_id: int | None = option(optional(integer(minimum=0)), default=None)

    def fault(self, target: Target, output: tuple[int, ...]) -> str | None:
        if self.class_id is not None and self.class_id >= output[-1]:
            return f"expected class_id below {output[-1]}, the output's units, received {self.class_id}"
        if self.top_k is not None and not self.top_k <= output[-1] <= MOST_RANKED:
            return f"expected top_k of at most the output's {output[-1]} units, and at most {MOST_RANKED} of them, " \
                   f"received {self.top_k}"
        return super().fault(target, output)

    def decide(self, b: GraphBuilder, target: Value, output: Value) -> tuple[Value, Value]:
        truth, answer = super().decide(b, target, output)
        if self.top_k is not None:
            among = _among_largest(b, output, self.top_k)
            answer = among if self.thresholds is None else b.op("multiply", among, answer)
        if self.class_id is not None:
            chosen = {"axis": output.type.rank - 1, "start": self.class_id, "stop": self.class_id + 1}
            truth, answer = b.op("slice", truth, **chosen), b.op("slice", answer, **chosen)
        return truth, answer

    def share(self, b: GraphBuilder, truth: Value, answer: Value, whole: Value, weight: Value | None) -> Value:
        """Sums of the cases where both say yes, and of the whole."""
        right = b.op("multiply", truth, answer)
        if weight is not None:
            wide = widened(b, weight, truth)
            right, whole = b.op("multiply", right, wide), b.op("multiply", whole, wide)
        return sums(b, right, whole)

    def result(self, total: Totals) -> float:
        return ratio(total[0], total[1])


def _among_largest(b: GraphBuilder, scores: Value, k: int) -> Value:
    """1 for the k largest of the last dimension; of equal ones the first."""
    *lead, units = scores.shape
    own = b.op("reshape", scores, shape=(*lead, units, 1))
    others = b.op("reshape", scores, shape=(*lead, 1, units))
    earlier = b.constant(np.tril(np.ones((units, units), np.float32), -1))
    before = b.op("add", b.op("greater", others, own), b.op("multiply", b.op("equal", others, own), earlier))
    return b.op("greater", b.constant(float(k)), b.op("reduce_sum", before, axes=(len(lead) + 1,)))


@register("metric")
@dataclass(frozen=True, kw_only=True)
class Precision(Share):
    """True positives among the positive answers."""

    def build(self, b: GraphBuilder, target: Value, output: Value, weight: Value | None,
              mask: Value | None = None) -> Value:
        truth, answer = self.decide(b, target, output)
        return self.share(b, truth, answer, answer, weight)


@register("metric")
@dataclass(frozen=True, kw_only=True)
class Recall(Share):
    """True positives among the positive examples."""

    def build(self, b: GraphBuilder, target: Value, output: Value, weight: Value | None,
              mask: Value | None = None) -> Value:
        truth, answer = self.decide(b, target, output)
        return self.share(b, truth, answer, truth, weight)
