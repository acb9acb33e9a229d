"""Activations that are one op each."""

from __future__ import annotations

from dataclasses import dataclass

from engine.activations.base import Activation
from engine.graph.ir import GraphBuilder, Value
from engine.options import boolean, number, option
from engine.registry import register


@register("activation", "linear")
@dataclass(frozen=True, kw_only=True)
class Linear(Activation):
    """The value itself."""

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return x


@register("activation", "relu6")
@dataclass(frozen=True, kw_only=True)
class Relu6(Activation):
    """min(max(x, 0), 6)."""

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("relu6", x)


@register("activation", "leaky_relu")
@dataclass(frozen=True, kw_only=True)
class LeakyRelu(Activation):
    """x above 0, `negative_slope` times x below."""

    negative_slope: float = option(number(), default=0.2)

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("leaky_relu", x, negative_slope=self.negative_slope)


@register("activation", "elu")
@dataclass(frozen=True, kw_only=True)
class Elu(Activation):
    """x above 0, `alpha` times (exp(x) - 1) below (Clevert et al., ICLR 2016)."""

    alpha: float = option(number(), default=1.0)

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("elu", x, alpha=self.alpha)


@register("activation", "selu")
@dataclass(frozen=True, kw_only=True)
class Selu(Activation):
    """The scaled elu of self-normalizing networks (Klambauer et al., NIPS 2017)."""

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("selu", x)


@register("activation", "gelu")
@dataclass(frozen=True, kw_only=True)
class Gelu(Activation):
    """x times the normal distribution's function of x; `approximate` by tanh (Hendrycks and Gimpel, 2016)."""

    approximate: bool = option(boolean, default=False)

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("gelu", x, approximate=self.approximate)


@register("activation", "silu", aliases=("swish",))
@dataclass(frozen=True, kw_only=True)
class Silu(Activation):
    """x times sigmoid(x); also called swish."""

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("silu", x)


@register("activation", "sigmoid")
@dataclass(frozen=True, kw_only=True)
class Sigmoid(Activation):
    """1 / (1 + exp(-x))."""

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("sigmoid", x)


@register("activation", "tanh")
@dataclass(frozen=True, kw_only=True)
class Tanh(Activation):
    """The hyperbolic tangent."""

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("tanh", x)


@register("activation", "softplus")
@dataclass(frozen=True, kw_only=True)
class Softplus(Activation):
    """log(1 + exp(x))."""

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("softplus", x)


@register("activation", "exponential")
@dataclass(frozen=True, kw_only=True)
class Exponential(Activation):
    """exp(x), without a bound."""

    def build(self, b: GraphBuilder, x: Value) -> Value:
        return b.op("exp", x)
