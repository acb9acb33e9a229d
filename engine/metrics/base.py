"""What every metric is: a vector of sums that each batch adds to, and a number made of the totals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from engine.graph.ir import GraphBuilder, Value
from engine.losses.base import spread
from engine.losses.target import Target, per_example
from engine.options import option, optional, text
from engine.registry import snake_case

Totals = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Metric(ABC):
    """The options of a metric. `name` is what the logs call it."""

    better: ClassVar[str] = "max"
    """Whether higher (`max`) or lower (`min`) is better."""
    of_probabilities: ClassVar[bool] = False
    """True if outputs count as numbers between 0 and 1, so that logits would be misjudged."""

    default_name: ClassVar[str | None] = None
    """What the logs call it, if not its own name as Keras would spell it."""

    name: str | None = option(optional(text()), default=None, doc="the name in the logs; null: the metric's own")

    @abstractmethod
    def build(self, b: GraphBuilder, target: Value, output: Value, weight: Value | None,
              mask: Value | None = None) -> Value:
        """This batch's sums, float32 (k,). `target` as in losses; `weight`, if any, is (batch,).

        The output's mask, if it has one, only matters to means, as in Keras.
        """

    @abstractmethod
    def result(self, total: Totals) -> float:
        """The metric's value from the totals (k,) of all batches."""

    @property
    def log_name(self) -> str:
        """The name in the logs."""
        return self.name or self.default_name or snake_case(type(self).__name__)

    def fault(self, target: Target, output: tuple[int, ...]) -> str | None:
        """Why it cannot judge an output of this shape (without the batch) by this target, or None."""
        expected = target.shape or (1,)
        if target.kind == "numeric" and expected != output:
            return f"expected an output of the target's shape {shown(expected)}, received {shown(output)}"
        return None


@dataclass(frozen=True, kw_only=True)
class Mean(Metric):
    """A metric that is the weighted mean of a number for each example."""

    @abstractmethod
    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        """The number of each example; its mean over all dimensions but the batch counts."""

    def build(self, b: GraphBuilder, target: Value, output: Value, weight: Value | None,
              mask: Value | None = None) -> Value:
        values = self.values(b, target, output)
        if mask is None:
            values = per_example(b, values)
            count = ones(b, values) if weight is None else weight
        else:
            count = spread(b, mask, values)
            if weight is not None:
                count = b.op("multiply", count, spread(b, weight, values))
        return sums(b, values if weight is None and mask is None else b.op("multiply", values, count), count)

    def result(self, total: Totals) -> float:
        return ratio(total[0], total[1])


def sums(b: GraphBuilder, *values: Value) -> Value:
    """The sum of each value over all its elements, as one vector."""
    totals = [b.op("reduce_sum", value, axes=tuple(range(value.type.rank))) for value in values]
    parts = [b.op("reshape", total, shape=(1,)) for total in totals]
    return b.op("concatenate", *parts, axis=0) if len(parts) > 1 else parts[0]


def column_sums(b: GraphBuilder, *values: Value) -> Value:
    """The sum over the batch of each value's columns, one value behind the other, as one vector."""
    totals = [b.op("reduce_sum", value, axes=(0,)) for value in values]
    return b.op("concatenate", *(b.op("reshape", total, shape=(prod(total.shape),)) for total in totals), axis=0)


def widened(b: GraphBuilder, weight: Value, like: Value) -> Value:
    """Weights (batch,) with dimensions of 1 behind, so that they multiply values of any rank."""
    return b.op("reshape", weight, shape=(*weight.shape[:1], *(1,) * (like.type.rank - 1)))


def ones(b: GraphBuilder, like: Value) -> Value:
    """1.0 for each element, NaN and infinity included."""
    return b.op("equal", b.op("greater", like, like), b.constant(0.0))


def ratio(numerator: float, denominator: float) -> float:
    """The quotient, 0 for nothing over nothing, as Keras's divide_no_nan."""
    return float(numerator / denominator) if denominator else 0.0


def expect_classes(target: Target, output: tuple[int, ...]) -> str | None:
    """A fault unless target and output speak of the same classes, two or more."""
    classes = target.classes if target.kind == "classes" else (target.shape or (1,))[-1]
    if len(output) != 1 or output[0] < 2 or output[0] != classes:
        return f"expected an output of shape (batch, {max(classes or 2, 2)}), received {shown(output)}"
    return None


def shown(shape: Sequence[int]) -> str:
    """A shape in an error message, with the batch in front."""
    return f"({', '.join(['batch', *map(str, shape)])})"
