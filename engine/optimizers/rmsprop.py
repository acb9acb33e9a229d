"""RMSprop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.optimizers.base import Optimizer, Schedule, learning_rate, share
from engine.options import boolean, number, option
from engine.registry import register


@register("optimizer", aliases=("rmsprop",))
@dataclass(frozen=True, kw_only=True)
class RMSprop(Optimizer):
    """Gradients divided by the root of their mean square (Tieleman and Hinton, 2012); `centered`: by deviation."""

    rule = "rmsprop"

    learning_rate: float | Schedule = option(learning_rate, default=0.001)
    rho: float = option(share, default=0.9)
    momentum: float = option(number(minimum=0, maximum=1), default=0.0)
    epsilon: float = option(number(minimum=0), default=1e-7)
    centered: bool = option(boolean, default=False)

    @staticmethod
    def numbers(m: Any, rate: Any, step: Any, *, rho: Any = 0.9, momentum: Any = 0.0, epsilon: Any = 1e-7,
                **_: Any) -> tuple[Any, ...]:
        """The rate, the share that decays and what is new, momentum and epsilon."""
        return rate, rho, 1.0 - rho, momentum, epsilon

    @staticmethod
    def update(m: Any, numbers: Any, w: Any, g: Any, *slots: Any, centered: bool = False, **_: Any) -> tuple[Any, ...]:
        """The variance of `centered` is at least 0, whatever rounding makes of it.

        In Keras it may fall below, and its root is NaN.
        """
        rate, rho, new, momentum, epsilon = numbers
        square, *rest = slots
        square = rho * square + new * g * g
        kept, variance = [square], square
        if centered:
            mean = rho * rest.pop(0) + new * g
            kept.append(mean)
            variance = square - mean * mean
            variance = m.where(variance < 0.0, 0.0, variance)
        change = rate * g / m.sqrt(variance + epsilon)
        if rest:
            change = momentum * rest[0] + change
            kept.append(change)
        return w - change, *kept

    @property
    def slots(self) -> tuple[str, ...]:
        return (
            "velocity",
            *(("average_gradient",) if self.centered else ()),
            *(("momentum",) if self.momentum else ()),
        )

    @property
    def attributes(self) -> dict[str, Any]:
        return {"rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon, "centered": self.centered}
