"""Cross entropies of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from engine.graph.ir import GraphBuilder, Value
from engine.losses.base import Loss
from engine.losses.target import EPSILON, Target, as_output, input_of, label_codes, per_example
from engine.options import boolean, number, only, option
from engine.registry import register

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


def _clipped(b: GraphBuilder, probabilities: Value) -> Value:
    return b.op("clip", probabilities, low=EPSILON, high=1 - EPSILON)


@register("loss")
@dataclass(frozen=True, kw_only=True)
class SparseCategoricalCrossentropy(Crossentropy):
    """-log of the probability of the true class, which is given as a code.

    Target: int32 (batch,). Output: (batch, classes).
    """

    accepts = ("classes",)

    ignore_class: Any = option(only(None, "ignoring a class is not supported"), default=None)

    def build(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        logits = self.logits(b, output, "softmax")
        if logits is None:
            logits = b.op("log", _clipped(b, output))
        return b.apply("sparse_cross_entropy", logits, label_codes(b, target))[0]


@register("loss")
@dataclass(frozen=True, kw_only=True)
class CategoricalCrossentropy(Crossentropy):
    """-sum(target * log(output)); class codes are made one-hot.

    Target: int32 (batch,) or float32 (batch, classes). Output: (batch, classes).
    """

    label_smoothing: float = option(smoothing, default=0.0)

    def build(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        target = as_output(b, target, output)
        if self.label_smoothing:
            target = b.op("scale", target, factor=1 - self.label_smoothing,
                          offset=self.label_smoothing / output.shape[-1])
        logits = self.logits(b, output, "softmax")
        if logits is not None:
            return b.apply("cross_entropy", logits, target)[0]
        total = b.op("reduce_sum", output, axes=(output.type.rank - 1,), keepdims=True)
        log = b.op("log", _clipped(b, b.op("divide", output, total)))
        return b.op("negative", b.op("reduce_sum", b.op("multiply", target, log), axes=(output.type.rank - 1,)))


@register("loss")
@dataclass(frozen=True, kw_only=True)
class BinaryCrossentropy(Crossentropy):
    """-(target * log(output) + (1 - target) * log(1 - output)), the mean over the output's units.

    Target: int32 (batch,), or float32 of the output's shape. Output: (batch, 1) for two classes, else (batch, classes)
    for one-hot targets, or a numeric target's shape.
    """

    label_smoothing: float = option(smoothing, default=0.0)

    def expected_outputs(self, target: Target) -> tuple[tuple[int, ...], ...]:
        if target.kind == "classes" and target.classes == 2:
            return (1,), (2,)
        return super().expected_outputs(target)

    def build(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        target = as_output(b, target, output)
        if self.label_smoothing:
            target = b.op("scale", target, factor=1 - self.label_smoothing, offset=self.label_smoothing / 2)
        logits = self.logits(b, output, "sigmoid")
        if logits is not None:
            # max(x, 0) - x z + log(1 + exp(-|x|)) = softplus(x) - x z
            return per_example(b, b.op("subtract", b.op("softplus", logits), b.op("multiply", logits, target)))
        output = _clipped(b, output)
        yes = b.op("multiply", target, b.op("log", output))
        no = b.op("multiply", _complement(b, target), b.op("log", _complement(b, output)))
        return b.op("negative", per_example(b, b.op("add", yes, no)))


def _complement(b: GraphBuilder, x: Value) -> Value:
    return b.op("scale", x, factor=-1.0, offset=1.0)
