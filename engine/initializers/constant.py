"""Zeros, ones, any other constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.initializers.base import Initializer, Shape, Values
from engine.options import number, option
from engine.registry import register


@register("initializer", aliases=("zero",))
@dataclass(frozen=True, kw_only=True)
class Zeros(Initializer):
    """Every value is 0."""

    def __call__(self, shape: Shape, seed: int) -> Values:
        return np.zeros(shape, np.float32)


@register("initializer", aliases=("one",))
@dataclass(frozen=True, kw_only=True)
class Ones(Initializer):
    """Every value is 1."""

    def __call__(self, shape: Shape, seed: int) -> Values:
        return np.ones(shape, np.float32)


@register("initializer")
@dataclass(frozen=True, kw_only=True)
class Constant(Initializer):
    """Every value is `value`."""

    value: float = option(number(), default=0.0)

    def __call__(self, shape: Shape, seed: int) -> Values:
        return np.full(shape, self.value, np.float32)
