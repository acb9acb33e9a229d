"""Draws that do not look at the shape: uniform, normal, truncated normal."""

from __future__ import annotations

from dataclasses import dataclass

from engine.initializers.base import RandomInitializer, Shape, Values, normal, truncated_normal, uniform
from engine.options import Mismatch, number, option
from engine.registry import register


@register("initializer", aliases=("uniform",))
@dataclass(frozen=True, kw_only=True)
class RandomUniform(RandomInitializer):
    """Uniform between `minval` and `maxval`."""

    minval: float = option(number(), default=-0.05)
    maxval: float = option(number(), default=0.05)

    def check(self, pointer: str) -> None:
        """`minval` may not lie above `maxval`."""
        if self.minval > self.maxval:
            raise Mismatch(f"{pointer}/maxval", f"a number of at least minval ({self.minval:g})", self.maxval)

    def __call__(self, shape: Shape, seed: int) -> Values:
        return uniform(self.generator(seed), shape, self.minval, self.maxval)


@register("initializer", aliases=("normal",))
@dataclass(frozen=True, kw_only=True)
class RandomNormal(RandomInitializer):
    """Normal with the given mean and standard deviation."""

    mean: float = option(number(), default=0.0)
    stddev: float = option(number(minimum=0), default=0.05)

    def __call__(self, shape: Shape, seed: int) -> Values:
        return normal(self.generator(seed), shape, self.mean, self.stddev)


@register("initializer")
@dataclass(frozen=True, kw_only=True)
class TruncatedNormal(RandomInitializer):
    """Normal, but values more than two standard deviations from the mean are drawn again."""

    mean: float = option(number(), default=0.0)
    stddev: float = option(number(minimum=0), default=0.05)

    def __call__(self, shape: Shape, seed: int) -> Values:
        return truncated_normal(self.generator(seed), shape, self.mean, self.stddev)
