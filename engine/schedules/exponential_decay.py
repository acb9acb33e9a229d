"""Exponential decay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.options import boolean, integer, number, option, text
from engine.registry import register
from engine.schedules.base import FLOAT32_MAXIMUM, Rates, Schedule, Steps, rate


@register("schedule")
@dataclass(frozen=True, kw_only=True)
class ExponentialDecay(Schedule):
    """`initial_learning_rate * decay_rate ^ (step / decay_steps)`; `staircase` rounds the exponent down."""

    initial_learning_rate: float = option(rate)
    decay_steps: int = option(integer(minimum=1))
    decay_rate: float = option(number(above=0, maximum=FLOAT32_MAXIMUM))
    staircase: bool = option(boolean, default=False)
    name: str = option(text(), default="ExponentialDecay")

    def __call__(self, steps: Steps) -> Rates:
        exponent = steps / np.float64(self.decay_steps)
        if self.staircase:
            exponent = np.floor(exponent)
        with np.errstate(over="ignore"):
            decayed = self.initial_learning_rate * np.power(np.float64(self.decay_rate), exponent)
        # A rate above 1 grows without bound; infinity would turn the weights into NaN without a word.
        return np.minimum(decayed, FLOAT32_MAXIMUM).astype(np.float32)
