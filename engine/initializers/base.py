"""What every initializer is: a function of a shape and a seed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.options import integer, option, optional

Values = npt.NDArray[np.float32]
Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Initializer(ABC):
    """Calling it gives float32 values of `shape`; the same shape and seed give the same bits."""

    @abstractmethod
    def __call__(self, shape: Shape, seed: int) -> Values:
        """Values of `shape`. Raises ValueError with `fault(shape)` for a shape that the initializer cannot fill."""

    def fault(self, shape: Shape) -> str | None:
        """Why this shape cannot be filled (`expected …, received …`), or None; for validation."""
        return None

    def require(self, shape: Shape) -> None:
        """Raise ValueError for a shape with a fault."""
        if fault := self.fault(shape):
            raise ValueError(fault)


@dataclass(frozen=True, kw_only=True)
class RandomInitializer(Initializer):
    """An initializer that draws. Its own `seed`, if given, takes the place of the one that the job derives."""

    seed: int | None = option(optional(integer(minimum=0)), default=None,
                              doc="fixes the values whatever the job's seed; null: derived from the job's seed")

    def generator(self, seed: int) -> np.random.Generator:
        """Philox (Salmon et al., SC'11): its stream is a function of the key alone."""
        key = seed if self.seed is None else self.seed
        return np.random.Generator(np.random.Philox(key=key % 2**128))


def uniform(generator: np.random.Generator, shape: Shape, low: float, high: float) -> Values:
    """float32 between `low` and `high`."""
    values = generator.random(shape, dtype=np.float32)
    return values * np.float32(high - low) + np.float32(low)


def normal(generator: np.random.Generator, shape: Shape, mean: float, stddev: float) -> Values:
    """float32 of a normal distribution."""
    values = generator.standard_normal(shape, dtype=np.float32)
    return values * np.float32(stddev) + np.float32(mean)


def truncated_normal(generator: np.random.Generator, shape: Shape, mean: float, stddev: float) -> Values:
    """float32 of a normal distribution whose values beyond two standard deviations are drawn again."""
    values = generator.standard_normal(int(np.prod(shape, dtype=np.int64)), dtype=np.float32)
    beyond = np.flatnonzero(np.abs(values) > 2)
    while beyond.size:
        values[beyond] = generator.standard_normal(beyond.size, dtype=np.float32)
        beyond = beyond[np.abs(values[beyond]) > 2]
    return values.reshape(shape) * np.float32(stddev) + np.float32(mean)
