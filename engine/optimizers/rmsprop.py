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

    op = "rmsprop"

    learning_rate: float | Schedule = option(learning_rate, default=0.001)
    rho: float = option(share, default=0.9)
    momentum: float = option(number(minimum=0, maximum=1), default=0.0)
    epsilon: float = option(number(minimum=0), default=1e-7)
    centered: bool = option(boolean, default=False)

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
