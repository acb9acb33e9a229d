"""Cosine decay with warm restarts (Loshchilov and Hutter, ICLR 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.options import integer, number, option, text
from engine.registry import register
from engine.schedules.base import FLOAT32_MAXIMUM, Rates, Schedule, Steps, rate


@register("schedule")
@dataclass(frozen=True, kw_only=True)
class CosineDecayRestarts(Schedule):
    """Half a cosine wave over `first_decay_steps`, then again from the top, and again.

    Each wave is `t_mul` times as long and `m_mul` times as high as the one before. `alpha` is the share of the initial
    rate that is left at the bottom.
    """

    initial_learning_rate: float = option(rate)
    first_decay_steps: int = option(integer(minimum=1))
    t_mul: float = option(number(minimum=1, maximum=1000), default=2.0)
    m_mul: float = option(number(minimum=0, maximum=1000), default=1.0)
    alpha: float = option(number(minimum=0), default=0.0)
    name: str = option(text(), default="SGDRDecay")

    def __call__(self, steps: Steps) -> Rates:
        passed = steps / np.float64(self.first_decay_steps)
        if self.t_mul == 1.0:
            restarts = np.floor(passed)
            fraction = passed - restarts
        else:
            # Rounded, so that a restart that falls on a step is not missed by a rounding of the logarithm.
            restarts = np.floor(np.round(np.log1p(passed * (self.t_mul - 1.0)) / np.log(self.t_mul), 9))
            length = np.power(self.t_mul, restarts)
            fraction = np.maximum((passed - (length - 1.0) / (self.t_mul - 1.0)) / length, 0.0)
        with np.errstate(over="ignore"):
            wave = 0.5 * np.power(np.float64(self.m_mul), restarts) * (1.0 + np.cos(np.pi * fraction))
        rates = self.initial_learning_rate * ((1.0 - self.alpha) * wave + self.alpha)
        return np.clip(rates, 0.0, FLOAT32_MAXIMUM).astype(np.float32)
