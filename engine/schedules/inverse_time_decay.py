"""Inverse time decay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.options import boolean, integer, number, option, text
from engine.registry import register
from engine.schedules.base import FLOAT32_MAXIMUM, Rates, Schedule, Steps, rate


@register("schedule")
@dataclass(frozen=True, kw_only=True)
class InverseTimeDecay(Schedule):
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`; `staircase` rounds the quotient down."""

    initial_learning_rate: float = option(rate)
    decay_steps: int = option(integer(minimum=1))
    decay_rate: float = option(number(minimum=0, maximum=FLOAT32_MAXIMUM))
    staircase: bool = option(boolean, default=False)
    name: str = option(text(), default="InverseTimeDecay")

    def __call__(self, steps: Steps) -> Rates:
        passed = steps / np.float64(self.decay_steps)
        if self.staircase:
            passed = np.floor(passed)
        return (self.initial_learning_rate / (1.0 + self.decay_rate * passed)).astype(np.float32)
