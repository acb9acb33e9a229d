"""A staircase given step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.options import Mismatch, integer, option, sequence, text
from engine.registry import register
from engine.schedules.base import Rates, Schedule, Steps, rate


@register("schedule")
@dataclass(frozen=True, kw_only=True)
class PiecewiseConstantDecay(Schedule):
    """`values[0]` up to and including step `boundaries[0]`, then `values[1]` up to `boundaries[1]`, and so on."""

    boundaries: tuple[int, ...] = option(sequence(integer(minimum=0), minimum=1, maximum=1000))
    values: tuple[float, ...] = option(sequence(rate, minimum=2, maximum=1001))
    name: str = option(text(), default="PiecewiseConstant")

    def check(self, pointer: str) -> None:
        """One value more than boundaries, which rise."""
        if len(self.values) != len(self.boundaries) + 1:
            raise Mismatch(f"{pointer}/values", f"{len(self.boundaries) + 1} values, one more than boundaries",
                           f"{len(self.values)} values")
        for index, (low, high) in enumerate(zip(self.boundaries, self.boundaries[1:], strict=False)):
            if high <= low:
                raise Mismatch(f"{pointer}/boundaries/{index + 1}", f"a step above {low}, as boundaries rise", high)

    def __call__(self, steps: Steps) -> Rates:
        places = np.searchsorted(np.asarray(self.boundaries, np.int64), steps, side="left")
        return np.asarray(self.values, np.float32)[places]
