"""Draws whose spread follows from the shape, so that signals keep their size through the layers.

Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (AISTATS 2010); He,
Zhang, Ren and Sun, "Delving deep into rectifiers" (ICCV 2015); LeCun et al., "Efficient backprop" (1998).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.initializers.base import RandomInitializer, Shape, Values, normal, truncated_normal, uniform
from engine.options import Mismatch, Reader, choice, integer, number, option, optional, sequence
from engine.registry import register

# The standard deviation of a standard normal distribution that is cut at two standard deviations.
TRUNCATED_STDDEV = 0.87962566103423978

MODES = ("fan_in", "fan_out", "fan_avg")
DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")


def compute_fans(shape: Shape, input_axes: Sequence[int] | None = None,
                 output_axes: Sequence[int] | None = None) -> tuple[int, int]:
    """Input and output units of a variable, as Keras 3: a kernel's leading dimensions are its receptive field."""
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if not shape:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


def _distribution(value: Any, pointer: str) -> str:
    # Keras 3 reads "normal" as its older name of "truncated_normal", and capitals as small letters.
    if isinstance(value, str):
        value = value.lower()
        value = "truncated_normal" if value == "normal" else value
    return str(_known_distribution(value, pointer))


_known_distribution = choice(*DISTRIBUTIONS)
_axes = optional(sequence(integer(minimum=-8, maximum=7), maximum=8))


@dataclass(frozen=True, kw_only=True)
class Scaled(RandomInitializer):
    """Variance `scale / n`, where `n` is the number of input units, of output units, or their mean."""

    input_axes: tuple[int, ...] | None = option(_axes, default=None, doc="axes that count as input units")
    output_axes: tuple[int, ...] | None = option(_axes, default=None, doc="axes that count as output units")

    def check(self, pointer: str) -> None:
        """Axes of one side only would silently be ignored."""
        if (self.input_axes is None) != (self.output_axes is None):
            missing = "input_axes" if self.input_axes is None else "output_axes"
            raise Mismatch(f"{pointer}/{missing}", "a list of axes, as the other side has one", None)

    def fault(self, shape: Shape) -> str | None:
        axes = (*(self.input_axes or ()), *(self.output_axes or ()))
        wrong = [axis for axis in axes if not -len(shape) <= axis < len(shape)]
        return f"expected axes of a shape of rank {len(shape)}, received {wrong[0]}" if wrong else None

    def draw(self, shape: Shape, seed: int, scale: float, mode: str, distribution: str) -> Values:
        """Values of `shape` with the variance that `scale` and `mode` ask for. Raises ValueError for a faulty shape."""
        self.require(shape)
        fans = compute_fans(shape, self.input_axes, self.output_axes)
        units = {"fan_in": fans[0], "fan_out": fans[1], "fan_avg": (fans[0] + fans[1]) / 2}[mode]
        variance = scale / max(1.0, units)
        generator = self.generator(seed)
        if distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return uniform(generator, shape, -limit, limit)
        if distribution == "untruncated_normal":
            return normal(generator, shape, 0.0, math.sqrt(variance))
        return truncated_normal(generator, shape, 0.0, math.sqrt(variance) / TRUNCATED_STDDEV)


@register("initializer")
@dataclass(frozen=True, kw_only=True)
class VarianceScaling(Scaled):
    """Variance `scale / n`; `n`: input units (`fan_in`), output units (`fan_out`) or their mean (`fan_avg`)."""

    scale: float = option(number(above=0), default=1.0)
    mode: str = option(choice(*MODES), default="fan_in")
    distribution: str = option(Reader(_distribution, _known_distribution.schema), default="truncated_normal")

    def __call__(self, shape: Shape, seed: int) -> Values:
        return self.draw(shape, seed, self.scale, self.mode, self.distribution)


@dataclass(frozen=True, kw_only=True)
class Preset(Scaled):
    """A variance scaling known by the name of who proposed it."""

    preset: ClassVar[tuple[float, str, str]]

    def __call__(self, shape: Shape, seed: int) -> Values:
        return self.draw(shape, seed, *self.preset)


@register("initializer")
@dataclass(frozen=True, kw_only=True)
class GlorotUniform(Preset):
    """Uniform within ±sqrt(6 / (fan_in + fan_out)); Keras's default for kernels. Also called Xavier."""

    preset = (1.0, "fan_avg", "uniform")


@register("initializer")
@dataclass(frozen=True, kw_only=True)
class GlorotNormal(Preset):
    """Truncated normal of variance 2 / (fan_in + fan_out). Also called Xavier."""

    preset = (1.0, "fan_avg", "truncated_normal")


@register("initializer")
@dataclass(frozen=True, kw_only=True)
class HeUniform(Preset):
    """Uniform within ±sqrt(6 / fan_in); for layers followed by relu."""

    preset = (2.0, "fan_in", "uniform")


@register("initializer")
@dataclass(frozen=True, kw_only=True)
class HeNormal(Preset):
    """Truncated normal of variance 2 / fan_in; for layers followed by relu."""

    preset = (2.0, "fan_in", "truncated_normal")


@register("initializer")
@dataclass(frozen=True, kw_only=True)
class LecunUniform(Preset):
    """Uniform within ±sqrt(3 / fan_in); for layers followed by selu."""

    preset = (1.0, "fan_in", "uniform")


@register("initializer")
@dataclass(frozen=True, kw_only=True)
class LecunNormal(Preset):
    """Truncated normal of variance 1 / fan_in; for layers followed by selu."""

    preset = (1.0, "fan_in", "truncated_normal")
