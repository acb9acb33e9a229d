"""Adadelta."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.optimizers.base import Optimizer, Schedule, learning_rate, share
from engine.options import number, option
from engine.registry import register


@register("optimizer")
@dataclass(frozen=True, kw_only=True)
class Adadelta(Optimizer):
    """Gradients scaled by the ratio of the roots of mean squares of changes and of gradients (Zeiler, 2012)."""

    rule = "adadelta"

    learning_rate: float | Schedule = option(learning_rate, default=0.001)
    rho: float = option(share, default=0.95)
    epsilon: float = option(number(minimum=0), default=1e-7)

    @staticmethod
    def numbers(m: Any, rate: Any, step: Any, *, rho: Any = 0.95, epsilon: Any = 1e-7, **_: Any) -> tuple[Any, ...]:
        """The rate, what stays of a mean and what is new, and epsilon."""
        return rate, rho, 1.0 - rho, epsilon

    @staticmethod
    def update(m: Any, numbers: Any, w: Any, g: Any, *slots: Any, **_: Any) -> tuple[Any, ...]:
        """d = -sqrt(changes + epsilon) / sqrt(squares + epsilon) g; w += rate d."""
        rate, rho, new, epsilon = numbers
        squares, changes = slots
        squares = rho * squares + new * g * g
        change = m.sqrt(changes + epsilon) * g / m.sqrt(squares + epsilon)
        return w - rate * change, squares, rho * changes + new * change * change

    @property
    def slots(self) -> tuple[str, ...]:
        return ("accumulated_grad", "accumulated_delta_var")

    @property
    def attributes(self) -> dict[str, Any]:
        return {"rho": self.rho, "epsilon": self.epsilon}
