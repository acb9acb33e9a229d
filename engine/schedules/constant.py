"""No change: the same as a plain number, for definitions that always name a schedule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.options import option
from engine.registry import register
from engine.schedules.base import Rates, Schedule, Steps, rate


@register("schedule")
@dataclass(frozen=True, kw_only=True)
class Constant(Schedule):
    """Always `learning_rate`."""

    learning_rate: float = option(rate)

    def __call__(self, steps: Steps) -> Rates:
        return np.full(steps.shape, self.learning_rate, np.float32)
