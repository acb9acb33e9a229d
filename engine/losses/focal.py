"""Cross entropies that weigh or bend what is easily right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.graph.ir import GraphBuilder, Value
from engine.losses.base import Loss
from engine.losses.crossentropy import Binary, Smoothed, binary_terms, clipped
from engine.losses.target import as_output, complement, over_last
from engine.options import boolean, number, option
from engine.registry import register

share = number(minimum=0, maximum=1)
exponent = number(minimum=0, maximum=100)


@register("loss")
@dataclass(frozen=True, kw_only=True)
class BinaryFocalCrossentropy(Binary):
    """Binary cross entropy times (1 - p of the truth) ** gamma (Lin et al., ICCV 2017).

    Target and output as BinaryCrossentropy's.
    """

    apply_class_balancing: bool = option(boolean, default=False, doc="weigh yes with alpha, no with 1 - alpha")
    alpha: float = option(share, default=0.25)
    gamma: float = option(exponent, default=2.0)

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        target = self.smoothed(b, as_output(b, target, output), 2)
        output = b.op("sigmoid", output) if self.from_logits else output
        # 1 - (t p + (1 - t)(1 - p))
        wrong = b.op("add", b.op("multiply", target, complement(b, output)),
                     b.op("multiply", complement(b, target), output))
        losses = b.op("multiply", b.op("power", wrong, exponent=self.gamma), binary_terms(b, target, output))
        if self.apply_class_balancing:
            balance = b.op("scale", target, factor=2 * self.alpha - 1, offset=1 - self.alpha)
            losses = b.op("multiply", losses, balance)
        return over_last(b, losses)


@register("loss")
@dataclass(frozen=True, kw_only=True)
class CategoricalFocalCrossentropy(Smoothed):
    """-sum(alpha * (1 - output) ** gamma * target * log(output)); class codes are made one-hot.

    Target: int32 (batch,) or float32 (batch, …, classes). Output: (batch, …, classes).
    """

    alpha: float = option(share, default=0.25)
    gamma: float = option(exponent, default=2.0)

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        target = self.smoothed(b, as_output(b, target, output), output.shape[-1])
        output = b.op("softmax", output) if self.from_logits else output
        total = b.op("reduce_sum", output, axes=(output.type.rank - 1,), keepdims=True)
        output = clipped(b, b.op("divide", output, total))
        factor = b.op("scale", b.op("power", complement(b, output), exponent=self.gamma), factor=-self.alpha)
        terms = b.op("multiply", b.op("multiply", factor, target), b.op("log", output))
        return over_last(b, terms, "reduce_sum")


@register("loss")
@dataclass(frozen=True, kw_only=True)
class CategoricalGeneralizedCrossEntropy(Loss):
    """(1 - p ** q) / q for the probability p of the true class: robust to wrong labels (Zhang and Sabuncu, 2018).

    Target: int32 (batch,). Output: probabilities (batch, classes).
    """

    wants = "classes"
    accepts: ClassVar[tuple[str, ...]] = ("classes",)

    q: float = option(number(above=0, below=1), default=0.5,
                      doc="towards 0 a cross entropy, towards 1 an absolute error")

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        chosen = over_last(b, b.op("multiply", output, as_output(b, target, output)), "reduce_sum")
        return b.op("scale", complement(b, b.op("power", chosen, exponent=self.q)), factor=1 / self.q)
