"""Activations that are a few elementwise ops; in a plan they become one pass over memory."""

from __future__ import annotations

from dataclasses import dataclass

from engine.activations.base import Activation
from engine.graph.ir import GraphBuilder, Value
from engine.options import number, option
from engine.registry import register


def _linear(b: GraphBuilder, x: Value, factor: float = 1.0, offset: float = 0.0) -> Value:
    return b.op("scale", x, factor=factor, offset=offset)


@register("activation", "celu")
@dataclass(frozen=True, kw_only=True)
class Celu(Activation):
    """x above 0, `alpha` times (exp(x / alpha) - 1) below (Barron, 2017)."""

    alpha: float = option(number(above=0), default=1.0)

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return _linear(b, b.op("elu", _linear(b, x, 1 / self.alpha), alpha=1.0), self.alpha)


@register("activation", "hard_sigmoid")
@dataclass(frozen=True, kw_only=True)
class HardSigmoid(Activation):
    """relu6(x + 3) / 6."""

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return _linear(b, b.op("relu6", _linear(b, x, offset=3.0)), 1 / 6)


@register("activation", "hard_silu", aliases=("hard_swish",))
@dataclass(frozen=True, kw_only=True)
class HardSilu(Activation):
    """x times hard_sigmoid(x); also called hard_swish (Howard et al., ICCV 2019)."""

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("multiply", x, HardSigmoid().build(b, x))


@register("activation", "hard_tanh")
@dataclass(frozen=True, kw_only=True)
class HardTanh(Activation):
    """x, at least -1 and at most 1."""

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("clip", x, low=-1.0, high=1.0)


@register("activation", "hard_shrink")
@dataclass(frozen=True, kw_only=True)
class HardShrink(Activation):
    """x where it is further from 0 than `threshold`, else 0."""

    threshold: float = option(number(minimum=0), default=0.5)

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("where", b.op("greater", b.op("abs", x), b.constant(self.threshold)), x, b.constant(0.0))


@register("activation", "soft_shrink")
@dataclass(frozen=True, kw_only=True)
class SoftShrink(Activation):
    """x moved toward 0 by `threshold`, and 0 where it is nearer."""

    threshold: float = option(number(minimum=0), default=0.5)

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("subtract", x, b.op("clip", x, low=-self.threshold, high=self.threshold))


@register("activation", "tanh_shrink")
@dataclass(frozen=True, kw_only=True)
class TanhShrink(Activation):
    """x - tanh(x)."""

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("subtract", x, b.op("tanh", x))


@register("activation", "threshold")
@dataclass(frozen=True, kw_only=True)
class Threshold(Activation):
    """x above `threshold`, `default_value` elsewhere. Keras's function of this name has no defaults."""

    threshold: float = option(number())
    default_value: float = option(number())

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("where", b.op("greater", x, b.constant(self.threshold)), x, b.constant(self.default_value))


@register("activation", "log_sigmoid")
@dataclass(frozen=True, kw_only=True)
class LogSigmoid(Activation):
    """log(sigmoid(x))."""

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("negative", b.op("softplus", b.op("negative", x)))


@register("activation", "mish")
@dataclass(frozen=True, kw_only=True)
class Mish(Activation):
    """x times tanh(softplus(x)) (Misra, BMVC 2020)."""

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("multiply", x, b.op("tanh", b.op("softplus", x)))


@register("activation", "softsign")
@dataclass(frozen=True, kw_only=True)
class Softsign(Activation):
    """x / (1 + |x|)."""

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("divide", x, _linear(b, b.op("abs", x), offset=1.0))


@register("activation", "sparse_plus")
@dataclass(frozen=True, kw_only=True)
class SparsePlus(Activation):
    """0 below -1, x above 1, (x + 1)^2 / 4 between."""

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("add", b.op("square", SparseSigmoid().build(b, x)), b.op("relu", _linear(b, x, offset=-1.0)))


@register("activation", "sparse_sigmoid")
@dataclass(frozen=True, kw_only=True)
class SparseSigmoid(Activation):
    """(x + 1) / 2, at least 0 and at most 1."""

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("clip", _linear(b, x, 0.5, 0.5), low=0.0, high=1.0)


@register("activation", "squareplus")
@dataclass(frozen=True, kw_only=True)
class Squareplus(Activation):
    """(x + sqrt(x^2 + b)) / 2."""

    b: float = option(number(minimum=0), default=4.0)

    def build(self, b: GraphBuilder, x: Value) -> Value:
        root = b.op("sqrt", _linear(b, b.op("square", x), offset=self.b))
        return _linear(b, b.op("add", x, root), 0.5)
