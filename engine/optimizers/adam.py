"""Adam and AdamW."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.optimizers.base import Optimizer, Schedule, learning_rate, share
from engine.options import boolean, number, option
from engine.registry import register


@register("optimizer")
@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """Steps by the mean of gradients over the root of their mean square, both corrected (Kingma and Ba, ICLR 2015)."""

    rule = "adam"

    learning_rate: float | Schedule = option(learning_rate, default=0.001)
    beta_1: float = option(share, default=0.9)
    beta_2: float = option(share, default=0.999)
    epsilon: float = option(number(minimum=0), default=1e-7)
    amsgrad: bool = option(boolean, default=False, doc="divide by the largest mean square so far")

    @staticmethod
    def numbers(m: Any, rate: Any, step: Any, *, beta_1: Any = 0.9, beta_2: Any = 0.999, epsilon: Any = 1e-7,
                **_: Any) -> tuple[Any, ...]:
        """The correction of the bias is folded into the rate, as in Keras."""
        corrected = rate * m.sqrt(1.0 - m.power(beta_2, step)) / (1.0 - m.power(beta_1, step))
        return corrected, 1.0 - beta_1, 1.0 - beta_2, epsilon

    @staticmethod
    def update(m: Any, numbers: Any, w: Any, g: Any, *slots: Any, **_: Any) -> tuple[Any, ...]:
        """m += (g - m)(1 - beta_1); v += (g^2 - v)(1 - beta_2); w -= rate m / (sqrt(v) + epsilon)."""
        rate, new_1, new_2, epsilon = numbers
        momentum, velocity, *largest = slots
        momentum = momentum + (g - momentum) * new_1
        velocity = velocity + (g * g - velocity) * new_2
        largest = [m.maximum(hat, velocity) for hat in largest]
        return w - rate * momentum / (m.sqrt((*largest, velocity)[0]) + epsilon), momentum, velocity, *largest

    @property
    def slots(self) -> tuple[str, ...]:
        return ("momentum", "velocity", *(("velocity_hat",) if self.amsgrad else ()))

    @property
    def attributes(self) -> dict[str, Any]:
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


@register("optimizer", aliases=("adamw",))
@dataclass(frozen=True, kw_only=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019)."""

    weight_decay: float | None = option(number(minimum=0), default=0.004)
