"""Losses of how far two sets, or two distributions, are from each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.graph.ir import GraphBuilder, Value
from engine.losses.base import Loss
from engine.losses.target import EPSILON, as_output, complement, over_last
from engine.ops.base import ShapeMismatch
from engine.options import axes, number, option, optional
from engine.registry import register


@register("loss", aliases=("kl_divergence", "kld", "KLD"))
@dataclass(frozen=True, kw_only=True)
class KLDivergence(Loss):
    """sum(target * log(target / output)) over the last dimension: both are distributions.

    Target: int32 (batch,) or of the output's shape. Output: (batch, …, outcomes).
    """

    wants = "numeric"
    accepts = ("classes", "numeric")

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        target = b.op("clip", as_output(b, target, output), low=EPSILON, high=1.0)
        output = b.op("clip", output, low=EPSILON, high=1.0)
        terms = b.op("multiply", target, b.op("log", b.op("divide", target, output)))
        return over_last(b, terms, "reduce_sum")


@dataclass(frozen=True, kw_only=True)
class Overlap(Loss):
    """Sums over `axis`; null: one number for the whole batch."""

    wants = "classes"
    accepts = ("classes", "numeric")

    axis: tuple[int, ...] | None = option(optional(axes()), default=None,
                                          doc="dimensions to sum over; null: all, with the batch")

    def sum(self, b: GraphBuilder, x: Value) -> Value:
        """The sum over the option's axes."""
        rank = x.type.rank
        given: Sequence[int] = range(rank) if self.axis is None else self.axis
        if any(not -rank <= axis < rank for axis in given):
            raise ShapeMismatch(f"axes of an output of rank {rank}", list(given))
        over = tuple(sorted({axis % rank for axis in given}))
        if 0 in over and len(over) < rank:
            raise ShapeMismatch("axes without the batch, or null for all", list(given))
        return b.op("reduce_sum", x, axes=over)


@register("loss")
@dataclass(frozen=True, kw_only=True)
class Dice(Overlap):
    """1 - 2 sum(target * output) / (sum(target) + sum(output)).

    Target: int32 (batch,) or of the output's shape.
    """

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        target = as_output(b, target, output)
        both = b.op("scale", self.sum(b, b.op("multiply", target, output)), factor=2.0)
        whole = b.op("scale", b.op("add", self.sum(b, target), self.sum(b, output)), factor=1.0, offset=EPSILON)
        return complement(b, b.op("divide", both, whole))


@register("loss")
@dataclass(frozen=True, kw_only=True)
class Tversky(Overlap):
    """1 - both / (both + alpha * missed + beta * invented) (Salehi et al., 2017).

    Target: int32 (batch,) or of the output's shape.
    """

    alpha: float = option(number(minimum=0), default=0.5)
    beta: float = option(number(minimum=0), default=0.5)

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        target = as_output(b, target, output)
        both = self.sum(b, b.op("multiply", target, output))
        missed = self.sum(b, b.op("multiply", complement(b, output), target))
        invented = self.sum(b, b.op("multiply", output, complement(b, target)))
        errors = b.op("add", b.op("scale", missed, factor=self.alpha), b.op("scale", invented, factor=self.beta))
        return complement(b, b.op("divide", both, b.op("scale", b.op("add", both, errors), factor=1.0,
                                                       offset=EPSILON)))
