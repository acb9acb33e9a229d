"""Schedule-free AdamW."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.optimizers.base import Optimizer, Schedule, learning_rate, share
from engine.options import integer, number, option
from engine.registry import register


@register("optimizer")
@dataclass(frozen=True, kw_only=True)
class ScheduleFreeAdamW(Optimizer):
    """AdamW that averages its weights instead of letting the rate fall (Defazio et al., NeurIPS 2024)."""

    rule = "schedule_free_adamw"

    learning_rate: float | Schedule = option(learning_rate, default=0.0025)
    beta_1: float = option(number(above=0, below=1), default=0.9)
    beta_2: float = option(share, default=0.999)
    epsilon: float = option(number(minimum=0), default=1e-8)
    warmup_steps: int = option(integer(minimum=0), default=0, doc="steps over which the rate rises")

    @staticmethod
    def numbers(m: Any, rate: Any, step: Any, *, beta_1: Any = 0.9, beta_2: Any = 0.999, epsilon: Any = 1e-8,
                warmup: Any = 0.0, first_decay: Any = 0.0, **_: Any) -> tuple[Any, ...]:
        """The risen rate, shares, corrections, the weight of the newest point, and how the first step undoes decay."""
        risen = rate * m.where(warmup > step, step / m.maximum(warmup, 1.0), 1.0)
        return (risen, beta_1 + 0.0, 1.0 - beta_1, 1.0 / beta_1, 1.0 - beta_2, 1.0 / (1.0 - m.power(beta_2, step)),
                epsilon + 0.0, 1.0 / step, m.where(step > 1.0, 0.0, 1.0), 1.0 / (1.0 - rate * first_decay))

    @staticmethod
    def update(m: Any, numbers: Any, w: Any, g: Any, *slots: Any, **_: Any) -> tuple[Any, ...]:
        """The first slot begins as the weights, before they decay.

        As published, and as Keras on JAX: Keras 3.15 on TensorFlow takes the average out of the weights with the point
        as it is after its step, and begins with a point of 0 where the optimizer is built in the first step.
        """
        rate, share_1, new_1, inverse_1, new_2, correction, epsilon, newest, first, whole = numbers
        point, velocity = slots
        point = m.where(first > 0.0, w * whole, point)
        velocity = velocity + (g * g - velocity) * new_2
        moved = point - rate * g / (m.sqrt(velocity * correction) + epsilon)
        average = (w - new_1 * point) * inverse_1
        average = (1.0 - newest) * average + newest * moved
        return new_1 * moved + share_1 * average, moved, velocity

    @property
    def slots(self) -> tuple[str, ...]:
        return ("momentum", "velocity")

    @property
    def attributes(self) -> dict[str, Any]:
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon,
                "warmup": float(self.warmup_steps), "first_decay": self.weight_decay or 0.0}
