"""Lion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.optimizers.base import Optimizer, Schedule, learning_rate, share
from engine.options import option
from engine.registry import register


@register("optimizer")
@dataclass(frozen=True, kw_only=True)
class Lion(Optimizer):
    """Steps of one size, by the sign of momentum and gradient (Chen et al., NeurIPS 2023)."""

    rule = "lion"

    learning_rate: float | Schedule = option(learning_rate, default=0.001)
    beta_1: float = option(share, default=0.9)
    beta_2: float = option(share, default=0.99)

    @staticmethod
    def numbers(m: Any, rate: Any, step: Any, *, beta_1: Any = 0.9, beta_2: Any = 0.99, **_: Any) -> tuple[Any, ...]:
        """The rate and both shares with what they leave."""
        return rate, beta_1, 1.0 - beta_1, beta_2, 1.0 - beta_2

    @staticmethod
    def update(m: Any, numbers: Any, w: Any, g: Any, *slots: Any, **_: Any) -> tuple[Any, ...]:
        """w -= rate sign(beta_1 m + (1 - beta_1) g); m = beta_2 m + (1 - beta_2) g."""
        rate, keep_1, new_1, keep_2, new_2 = numbers
        (momentum,) = slots
        towards = momentum * keep_1 + g * new_1
        sign = m.where(towards > 0.0, 1.0, m.where(towards < 0.0, -1.0, towards))  # NaN stays
        return w - rate * sign, momentum * keep_2 + g * new_2

    @property
    def slots(self) -> tuple[str, ...]:
        return ("momentum",)

    @property
    def attributes(self) -> dict[str, Any]:
        return {"beta_1": self.beta_1, "beta_2": self.beta_2}
