"""Gradient descent with momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.optimizers.base import Optimizer, Schedule, learning_rate
from engine.options import Mismatch, boolean, number, option
from engine.registry import register


@register("optimizer")
@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """w -= learning_rate * g; with momentum v = momentum * v - learning_rate * g, w += v, or Nesterov's form of it."""

    rule = "sgd"

    learning_rate: float | Schedule = option(learning_rate, default=0.01)
    momentum: float = option(number(minimum=0, maximum=1), default=0.0)
    nesterov: bool = option(boolean, default=False)

    @staticmethod
    def numbers(m: Any, rate: Any, step: Any, *, momentum: Any = 0.0, **_: Any) -> tuple[Any, ...]:
        """The rate and the momentum."""
        return rate, momentum

    @staticmethod
    def update(m: Any, numbers: Any, w: Any, g: Any, *slots: Any, nesterov: bool = False, **_: Any) -> tuple[Any, ...]:
        """Without momentum there is no slot."""
        rate, momentum = numbers
        if not slots:
            return (w - rate * g,)
        velocity = momentum * slots[0] - rate * g
        return w + momentum * velocity - rate * g if nesterov else w + velocity, velocity

    @property
    def slots(self) -> tuple[str, ...]:
        return ("momentum",) if self.momentum else ()

    @property
    def attributes(self) -> dict[str, Any]:
        return {"momentum": self.momentum, "nesterov": self.nesterov}

    def check(self, pointer: str) -> None:
        """Nesterov's form is one of momentum."""
        super().check(pointer)
        if self.nesterov and not self.momentum:
            raise Mismatch(f"{pointer}/momentum", "a number above 0, as nesterov is true", self.momentum)
