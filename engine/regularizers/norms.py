"""Penalties by the absolute value and by the square of the elements."""

from __future__ import annotations

from dataclasses import dataclass

from engine.graph.ir import GraphBuilder, Value
from engine.options import number, option
from engine.registry import register
from engine.regularizers.base import Regularizer


def _absolute(b: GraphBuilder, x: Value, factor: float) -> Value | None:
    return b.op("scale", b.op("abs", x), factor=factor) if factor else None


def _square(b: GraphBuilder, x: Value, factor: float) -> Value | None:
    return b.op("scale", b.op("square", x), factor=factor) if factor else None


@register("regularizer")
@dataclass(frozen=True, kw_only=True)
class L1(Regularizer):
    """`l1` times the sum of absolute values."""

    l1: float = option(number(minimum=0), default=0.01)

    def terms(self, b: GraphBuilder, x: Value) -> Value | None:
        return _absolute(b, x, self.l1)


@register("regularizer")
@dataclass(frozen=True, kw_only=True)
class L2(Regularizer):
    """`l2` times the sum of squares."""

    l2: float = option(number(minimum=0), default=0.01)

    def terms(self, b: GraphBuilder, x: Value) -> Value | None:
        return _square(b, x, self.l2)


@register("regularizer", aliases=("l1_l2",))
@dataclass(frozen=True, kw_only=True)
class L1L2(Regularizer):
    """`l1` times the sum of absolute values plus `l2` times the sum of squares."""

    l1: float = option(number(minimum=0), default=0.0)
    l2: float = option(number(minimum=0), default=0.0)

    def terms(self, b: GraphBuilder, x: Value) -> Value | None:
        absolute, square = _absolute(b, x, self.l1), _square(b, x, self.l2)
        if absolute is None or square is None:
            return absolute or square
        return b.op("add", absolute, square)
