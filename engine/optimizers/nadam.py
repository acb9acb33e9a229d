"""Nadam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.optimizers.base import Optimizer, Schedule, learning_rate, share
from engine.options import number, option
from engine.registry import register


@register("optimizer")
@dataclass(frozen=True, kw_only=True)
class Nadam(Optimizer):
    """Adam with Nesterov's momentum (Dozat, ICLR workshop 2016)."""

    rule = "nadam"

    learning_rate: float | Schedule = option(learning_rate, default=0.001)
    beta_1: float = option(share, default=0.9)
    beta_2: float = option(share, default=0.999)
    epsilon: float = option(number(minimum=0), default=1e-7)

    @staticmethod
    def numbers(m: Any, rate: Any, step: Any, *, beta_1: Any = 0.9, beta_2: Any = 0.999, epsilon: Any = 1e-7,
                **_: Any) -> tuple[Any, ...]:
        """The rate, the momentum of this step and of the next, what is new, the variance's correction, epsilon."""
        now = beta_1 * (1.0 - 0.5 * m.power(0.96, step))
        following = beta_1 * (1.0 - 0.5 * m.power(0.96, step + 1.0))
        return rate, now, following, 1.0 - beta_1, 1.0 - beta_2, 1.0 / (1.0 - m.power(beta_2, step)), epsilon

    @staticmethod
    def update(m: Any, numbers: Any, w: Any, g: Any, *slots: Any, **_: Any) -> tuple[Any, ...]:
        """The third slot is 1 - the product of the momenta so far, which begins with 0 as all slots do."""
        rate, now, following, new_1, new_2, correction, epsilon = numbers
        momentum, velocity, gone = slots
        gone = 1.0 - (1.0 - gone) * now
        momentum = momentum + (g - momentum) * new_1
        velocity = velocity + (g * g - velocity) * new_2
        ahead = 1.0 - (1.0 - gone) * following
        mean = following * momentum / ahead + (1.0 - now) * g / gone
        return w - mean * rate / (m.sqrt(velocity * correction) + epsilon), momentum, velocity, gone

    @property
    def slots(self) -> tuple[str, ...]:
        return ("momentum", "velocity", "product")

    @property
    def attributes(self) -> dict[str, Any]:
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
