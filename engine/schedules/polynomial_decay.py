"""Polynomial decay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.options import boolean, integer, number, option, text
from engine.registry import register
from engine.schedules.base import Rates, Schedule, Steps, rate


@register("schedule")
@dataclass(frozen=True, kw_only=True)
class PolynomialDecay(Schedule):
    """From the initial rate to `end_learning_rate` in `decay_steps`, by the `power` of what is left of them.

    With `cycle`, the decay goes on to the next multiple of `decay_steps` each time its end is passed.
    """

    initial_learning_rate: float = option(rate)
    decay_steps: int = option(integer(minimum=1))
    end_learning_rate: float = option(rate, default=0.0001)
    power: float = option(number(minimum=0, maximum=100), default=1.0)
    cycle: bool = option(boolean, default=False)
    name: str = option(text(), default="PolynomialDecay")

    def __call__(self, steps: Steps) -> Rates:
        length = np.float64(self.decay_steps)
        if self.cycle:
            fraction = steps / (length * np.maximum(1.0, np.ceil(steps / length)))
        else:
            fraction = np.minimum(steps / length, 1.0)
        left = np.power(1.0 - fraction, self.power)
        return ((self.initial_learning_rate - self.end_learning_rate) * left + self.end_learning_rate).astype(
            np.float32)
