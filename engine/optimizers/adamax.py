"""Adamax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.optimizers.base import Optimizer, Schedule, learning_rate, share
from engine.options import number, option
from engine.registry import register


@register("optimizer")
@dataclass(frozen=True, kw_only=True)
class Adamax(Optimizer):
    """Adam by the largest absolute gradient instead of the root of mean squares (Kingma and Ba, 2015, section 7.1)."""

    rule = "adamax"

    learning_rate: float | Schedule = option(learning_rate, default=0.001)
    beta_1: float = option(share, default=0.9)
    beta_2: float = option(share, default=0.999)
    epsilon: float = option(number(minimum=0), default=1e-7)

    @staticmethod
    def numbers(m: Any, rate: Any, step: Any, *, beta_1: Any = 0.9, beta_2: Any = 0.999, epsilon: Any = 1e-7,
                **_: Any) -> tuple[Any, ...]:
        """The rate corrected for the mean's beginning, what is new, what stays of the norm, and epsilon."""
        return rate / (1.0 - m.power(beta_1, step)), 1.0 - beta_1, beta_2, epsilon

    @staticmethod
    def update(m: Any, numbers: Any, w: Any, g: Any, *slots: Any, **_: Any) -> tuple[Any, ...]:
        """m += (g - m)(1 - beta_1); u = max(beta_2 u, |g|); w -= rate m / (u + epsilon)."""
        rate, new, keep, epsilon = numbers
        momentum, norm = slots
        momentum = momentum + (g - momentum) * new
        norm = m.maximum(keep * norm, m.abs(g))
        return w - rate * momentum / (norm + epsilon), momentum, norm

    @property
    def slots(self) -> tuple[str, ...]:
        return ("momentum", "norm")

    @property
    def attributes(self) -> dict[str, Any]:
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
