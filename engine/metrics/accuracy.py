"""Shares of right answers."""

from __future__ import annotations

from dataclasses import dataclass

from engine.graph.ir import GraphBuilder, Value
from engine.losses.target import Target, as_output, label_codes
from engine.metrics.base import Mean, expect_classes
from engine.options import integer, number, only, option
from engine.registry import register


@register("metric", "Accuracy")
@dataclass(frozen=True, kw_only=True)
class Equality(Mean):
    """The share of outputs that equal their target."""

    default_name = "accuracy"

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        return b.op("equal", as_output(b, target, output), output)


@register("metric")
@dataclass(frozen=True, kw_only=True)
class SparseCategoricalAccuracy(Mean):
    """The share of examples whose largest output is that of the true class, given as a code."""

    def fault(self, target: Target, output: tuple[int, ...]) -> str | None:
        if target.kind != "classes":
            return "expected class codes as target, received numbers: CategoricalAccuracy compares rows of numbers"
        return expect_classes(target, output)

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        # Codes are far below 2^24, where float32 is exact.
        codes = b.op("scale", label_codes(b, target)), b.op("scale", b.op("argmax", output))
        return b.op("equal", *codes)


@register("metric")
@dataclass(frozen=True, kw_only=True)
class CategoricalAccuracy(SparseCategoricalAccuracy):
    """The share of examples whose largest output is where the target's row is largest."""

    def fault(self, target: Target, output: tuple[int, ...]) -> str | None:
        return expect_classes(target, output)


@register("metric")
@dataclass(frozen=True, kw_only=True)
class BinaryAccuracy(Mean):
    """The share of outputs on their target's side of `threshold`."""

    of_probabilities = True

    threshold: float = option(number(above=0, below=1), default=0.5)

    def fault(self, target: Target, output: tuple[int, ...]) -> str | None:
        if target.kind == "classes" and output not in ((1,), (target.classes,)):
            return f"expected an output of shape (batch, 1), received {output}"
        return super().fault(target, output)

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        said = b.op("greater", output, b.constant(self.threshold))
        return b.op("equal", as_output(b, target, output), said)


@register("metric")
@dataclass(frozen=True, kw_only=True)
class SparseTopKCategoricalAccuracy(Mean):
    """The share of examples whose true class, given as a code, is among the `k` largest outputs."""

    k: int = option(integer(minimum=1), default=5)
    from_sorted_ids: bool = option(only(False, "outputs are scores"), default=False)

    def fault(self, target: Target, output: tuple[int, ...]) -> str | None:
        if target.kind != "classes":
            return "expected class codes as target, received numbers: TopKCategoricalAccuracy compares rows of numbers"
        return self._fault(target, output)

    def _fault(self, target: Target, output: tuple[int, ...]) -> str | None:
        if self.k > output[-1]:
            return f"expected k of at most the output's {output[-1]} classes, received {self.k}"
        return expect_classes(target, output)

    def values(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        return b.op("in_top_k", output, label_codes(b, target), k=self.k)


@register("metric")
@dataclass(frozen=True, kw_only=True)
class TopKCategoricalAccuracy(SparseTopKCategoricalAccuracy):
    """The share of examples for which the place where the target's row is largest is among the `k` largest outputs."""

    def fault(self, target: Target, output: tuple[int, ...]) -> str | None:
        return self._fault(target, output)
