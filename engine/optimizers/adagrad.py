"""Adagrad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.optimizers.base import Optimizer, Schedule, learning_rate
from engine.options import number, option
from engine.registry import register


@register("optimizer")
@dataclass(frozen=True, kw_only=True)
class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of their squares so far (Duchi, Hazan and Singer, JMLR 2011)."""

    rule = "adagrad"

    learning_rate: float | Schedule = option(learning_rate, default=0.001)
    initial_accumulator_value: float = option(number(minimum=0), default=0.1, doc="what the sums begin with")
    epsilon: float = option(number(minimum=0), default=1e-7)

    @staticmethod
    def numbers(m: Any, rate: Any, step: Any, *, initial: Any = 0.1, epsilon: Any = 1e-7, **_: Any) -> tuple[Any, ...]:
        """The rate, and what is added to the slot before its root is taken."""
        return rate, initial + epsilon

    @staticmethod
    def update(m: Any, numbers: Any, w: Any, g: Any, *slots: Any, **_: Any) -> tuple[Any, ...]:
        """The slot holds the sum of squares without its initial value, so that it begins with 0 as all slots do."""
        rate, offset = numbers
        total = slots[0] + g * g
        return w - rate * g / m.sqrt(total + offset), total

    @property
    def slots(self) -> tuple[str, ...]:
        return ("accumulator",)

    @property
    def attributes(self) -> dict[str, Any]:
        return {"initial": self.initial_accumulator_value, "epsilon": self.epsilon}
