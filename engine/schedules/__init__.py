"""Curves of the learning rate over the optimizer's steps. Names, options and defaults are Keras 3's.

An optimizer's option is `learning_rate: float | Schedule = option(learning_rate, default=0.001)`, and its values for
a run of steps are `rates(self.learning_rate, steps)`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.options import Mismatch, Reader, entry, number
from engine.schedules.base import FLOAT32_MAXIMUM, Rates, Schedule, Steps

__all__ = ["Schedule", "learning_rate", "rates"]

_number = number(minimum=0, maximum=FLOAT32_MAXIMUM)
_schedule = entry("schedule")


def _learning_rate(value: Any, pointer: str) -> float | Schedule:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(_number(value, pointer))
    if value is None or isinstance(value, (bool, list, tuple)):
        raise Mismatch(pointer, 'a finite number of at least 0 or a schedule ({"type": …})', value)
    schedule: Schedule = _schedule(value, pointer)
    return schedule


learning_rate = Reader(_learning_rate, {"anyOf": [dict(_number.schema), dict(_schedule.schema)]})
"""Reads a number or a schedule."""


def rates(value: float | Schedule, steps: Steps) -> Rates:
    """The learning rate of every step, counted from 0: float32, shape of `steps`."""
    if isinstance(value, Schedule):
        return value(steps)
    return np.full(steps.shape, value, np.float32)
