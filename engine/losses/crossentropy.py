"""Cross entropies of classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from engine.graph.ir import GraphBuilder, Value
from engine.losses.base import Loss
from engine.losses.target import (
    EPSILON,
    Target,
    as_output,
    as_rows,
    complement,
    input_of,
    label_codes,
    over_last,
)
from engine.options import boolean, integer, number, only, option, optional
from engine.registry import register
from engine.types import times

last_axis = only(-1, "classes are the last dimension")
smoothing = number(minimum=0, maximum=1)


@dataclass(frozen=True, kw_only=True)
class Crossentropy(Loss):
    """`from_logits`: the output is before softmax or sigmoid.

    Where the model ends with that very function, its argument is used as logits in either case, as Keras does: the
    same value without the loss of precision.
    """

    wants = "classes"
    accepts: ClassVar[tuple[str, ...]] = ("classes", "numeric")

    from_logits: bool = option(boolean, default=False)
    axis: int = option(last_axis, default=-1)

    def logits(self, b: GraphBuilder, output: Value, function: str) -> Value | None:
        """The logits behind the output, or None where there are only probabilities."""
        return output if self.from_logits else input_of(b, output, function)


def clipped(b: GraphBuilder, probabilities: Value) -> Value:
    """Probabilities away from 0 and 1."""
    return b.op("clip", probabilities, low=EPSILON, high=1 - EPSILON)


def against_rows(b: GraphBuilder, logits: Value, target: Value) -> Value:
    """-sum(target * log softmax(logits)) over the last dimension, for logits of any rank."""
    if logits.type.rank == 2:
        return b.apply("cross_entropy", logits, target)[0]
    batch, *middle, classes = logits.shape
    flat = (times(batch, math.prod(middle)), classes)
    losses = b.apply("cross_entropy", b.op("reshape", logits, shape=flat), b.op("reshape", target, shape=flat))[0]
    return b.op("reshape", losses, shape=(batch, *middle))


@register("loss")
@dataclass(frozen=True, kw_only=True)
class SparseCategoricalCrossentropy(Crossentropy):
    """-log of the probability of the true class, which is given as a code.

    Target: int32 (batch,), or codes as numbers for outputs of a higher rank. Output: (batch, …, classes).
    """

    ignore_class: int | None = option(optional(integer(minimum=-(2**24), maximum=2**24)), default=None,
                                      doc="a code whose examples do not count")

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        logits = self.logits(b, output, "softmax")
        if logits is None:
            logits = b.op("log", clipped(b, output))
        if target.dtype == "int32" and logits.type.rank == 2 and self.ignore_class is None:
            return b.apply("sparse_cross_entropy", logits, label_codes(b, target))[0]
        return against_rows(b, logits, as_rows(b, target, logits))

    def mask(self, b: GraphBuilder, target: Value, values: Value) -> Value | None:
        if self.ignore_class is None:
            return None
        codes = b.op("scale", target) if target.dtype == "int32" else target
        codes = codes if codes.shape == values.shape else b.op("reshape", codes, shape=values.shape)
        return complement(b, b.op("equal", codes, b.constant(float(self.ignore_class))))

    def fits(self, target: Target, output: tuple[int, ...]) -> bool:
        if target.kind == "classes":
            return super().fits(target, output)
        return len(output) > 1 and target.shape in (output[:-1], (*output[:-1], 1))

    def expected_outputs(self, target: Target) -> tuple[tuple[int, ...], ...]:
        if target.kind == "classes":
            return super().expected_outputs(target)
        return ((*(target.shape[:-1] if target.shape[-1:] == (1,) else target.shape), 2),)


@dataclass(frozen=True, kw_only=True)
class Smoothed(Crossentropy):
    """A cross entropy whose target may be mixed with the even distribution."""

    label_smoothing: float = option(smoothing, default=0.0)

    def smoothed(self, b: GraphBuilder, target: Value, outcomes: int) -> Value:
        """The target, moved towards 1 / outcomes."""
        if not self.label_smoothing:
            return target
        return b.op("scale", target, factor=1 - self.label_smoothing, offset=self.label_smoothing / outcomes)


@register("loss")
@dataclass(frozen=True, kw_only=True)
class CategoricalCrossentropy(Smoothed):
    """-sum(target * log(output)); class codes are made one-hot.

    Target: int32 (batch,) or float32 (batch, …, classes). Output: (batch, …, classes).
    """

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        target = self.smoothed(b, as_output(b, target, output), output.shape[-1])
        logits = self.logits(b, output, "softmax")
        if logits is not None:
            return against_rows(b, logits, target)
        total = b.op("reduce_sum", output, axes=(output.type.rank - 1,), keepdims=True)
        log = b.op("log", clipped(b, b.op("divide", output, total)))
        return b.op("negative", over_last(b, b.op("multiply", target, log), "reduce_sum"))


def binary_terms(b: GraphBuilder, target: Value, output: Value) -> Value:
    """-(target * log(output) + (1 - target) * log(1 - output)), element by element."""
    output = clipped(b, output)
    yes = b.op("multiply", target, b.op("log", output))
    no = b.op("multiply", complement(b, target), b.op("log", complement(b, output)))
    return b.op("negative", b.op("add", yes, no))


@dataclass(frozen=True, kw_only=True)
class Binary(Smoothed):
    """A loss of yes and no for each of the output's units.

    Target: int32 (batch,), or float32 of the output's shape. Output: (batch, 1) for two classes, else (batch, classes)
    for one-hot targets, or a numeric target's shape.
    """

    def expected_outputs(self, target: Target) -> tuple[tuple[int, ...], ...]:
        if target.kind == "classes" and target.classes == 2:
            return (1,), (2,)
        return super().expected_outputs(target)


@register("loss", aliases=("bce", "BCE"))
@dataclass(frozen=True, kw_only=True)
class BinaryCrossentropy(Binary):
    """-(target * log(output) + (1 - target) * log(1 - output)), the mean over the output's units.

    Target: int32 (batch,), or float32 of the output's shape. Output: (batch, 1) for two classes, else (batch, classes)
    for one-hot targets, or a numeric target's shape.
    """

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        target = self.smoothed(b, as_output(b, target, output), 2)
        logits = self.logits(b, output, "sigmoid")
        if logits is not None:
            # max(x, 0) - x z + log(1 + exp(-|x|)) = softplus(x) - x z
            return over_last(b, b.op("subtract", b.op("softplus", logits), b.op("multiply", logits, target)))
        return over_last(b, binary_terms(b, target, output))
