"""What every loss is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from engine.graph.ir import GraphBuilder, Value
from engine.losses.target import Target
from engine.ops.base import ShapeMismatch
from engine.options import choice, option, optional, text

REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight")


@dataclass(frozen=True, kw_only=True)
class Loss(ABC):
    """The options of a loss. Class weights are sample weights; where they come from is the training step's."""

    wants: ClassVar[str]
    """The kind of target that a column of integers is taken for: `classes` or `numeric`."""
    accepts: ClassVar[tuple[str, ...]]
    """The kinds of target that it can be computed from."""

    reduction: str = option(choice(*REDUCTIONS), default="sum_over_batch_size",
                            doc="the mean over the batch, the sum, or the mean divided by the sum of weights")
    name: str | None = option(optional(text()), default=None)

    @abstractmethod
    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        """The loss of each sample, (batch, …) without the output's last dimension; or one for all, ().

        `target` is int32 (batch,) or float32 of the output's shape.
        """

    def mask(self, b: GraphBuilder, target: Value, values: Value) -> Value | None:
        """1 for the values that count, 0 for others, in their shape; None if all count."""
        return None

    def total(self, b: GraphBuilder, target: Value, output: Value, weight: Value | None = None,
              mask: Value | None = None) -> Value:
        """The loss of the batch as one number, (): weighted by `weight` (batch,), without what `mask` leaves out.

        As Keras 3: a mean over what a mask leaves is divided by the number of that, not by the sum of weights. A mask
        has the shape of the values or of their first dimensions. Raises ShapeMismatch for any other mask.
        """
        values = self.values(b, target, output)
        axes = tuple(range(values.type.rank))
        own = self.mask(b, target, values)
        if mask is not None:
            mask = spread(b, mask, values)
            own = mask if own is None else b.op("multiply", own, mask)
        if not axes:
            return values if weight is None else b.op("multiply", values, b.op("reduce_mean", weight, axes=(0,)))
        if weight is not None:
            weight = spread(b, weight, values)
            values = b.op("multiply", values, weight)
        if own is not None:
            # What is left out may be NaN or infinite.
            values = b.op("multiply", b.op("where", own, values, b.constant(0.0)), own)
        if self.reduction == "sum":
            return b.op("reduce_sum", values, axes=axes)
        if self.reduction == "mean_with_sample_weight" and (weight is not None or own is not None):
            weight = own if weight is None else weight if own is None else b.op("multiply", weight, own)
            assert weight is not None
            return _ratio(b, values, weight, axes)
        return b.op("reduce_mean", values, axes=axes) if own is None else _ratio(b, values, own, axes)

    def expected_outputs(self, target: Target) -> tuple[tuple[int, ...], ...]:
        """The shapes, without the batch, that the model's output may have for this target; the usual one first."""
        if target.kind == "classes":
            return ((target.classes or 0,),)
        return (target.shape or (1,),)

    def fits(self, target: Target, output: tuple[int, ...]) -> bool:
        """Can an output of this shape (without the batch) be compared with this target?"""
        return output in self.expected_outputs(target)


def spread(b: GraphBuilder, weight: Value, values: Value) -> Value:
    """Weights of the first dimensions in the shape of all values."""
    rank = values.type.rank
    if weight.shape != values.shape[: weight.type.rank]:
        raise ShapeMismatch(f"a mask of shape {values.shape} or of its first dimensions", str(weight.type))
    if weight.type.rank == rank:
        return weight
    return b.op("broadcast", weight, shape=values.shape, axes=tuple(range(weight.type.rank, rank)))


def _ratio(b: GraphBuilder, values: Value, weights: Value, axes: tuple[int, ...]) -> Value:
    """Sum of values / sum of weights, 0 for nothing over nothing."""
    whole = b.op("reduce_sum", weights, axes=axes)
    empty = b.op("equal", whole, b.constant(0.0))
    return b.op("divide", b.op("reduce_sum", values, axes=axes), b.op("add", whole, empty))
