"""Follow the regularized leader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.optimizers.base import Optimizer, Schedule, learning_rate
from engine.options import number, option
from engine.registry import register


@register("optimizer")
@dataclass(frozen=True, kw_only=True)
class Ftrl(Optimizer):
    """Follow the regularized leader, for sparse weights of wide models (McMahan et al., KDD 2013)."""

    rule = "ftrl"

    learning_rate: float | Schedule = option(learning_rate, default=0.001)
    learning_rate_power: float = option(number(maximum=0), default=-0.5)
    initial_accumulator_value: float = option(number(minimum=0), default=0.1)
    l1_regularization_strength: float = option(number(minimum=0), default=0.0)
    l2_regularization_strength: float = option(number(minimum=0), default=0.0)
    l2_shrinkage_regularization_strength: float = option(number(minimum=0), default=0.0)
    beta: float = option(number(minimum=0), default=0.0)

    @staticmethod
    def numbers(m: Any, rate: Any, step: Any, *, initial: Any = 0.1, power: Any = 0.5, l1: Any = 0.0, l2: Any = 0.0,
                shrinkage: Any = 0.0, beta: Any = 0.0, **_: Any) -> tuple[Any, ...]:
        """1 / rate, the sums' first value, their power, l1, what l2 adds to the quadratic part, shrinkage."""
        return 1.0 / rate, initial + 0.0, power + 0.0, l1 + 0.0, 2.0 * l2 + beta / rate, 2.0 * shrinkage

    @staticmethod
    def update(m: Any, numbers: Any, w: Any, g: Any, *slots: Any, root: bool = True, **_: Any) -> tuple[Any, ...]:
        """The first slot is the sum of squared gradients without its first value; `root`: its power is a half."""
        slower, initial, power, l1, l2, shrinkage = numbers
        total, linear = slots

        def raised(x: Any) -> Any:
            if root:
                return m.sqrt(x)
            return m.where(x > 0.0, m.exp(power * m.log(m.maximum(x, 1e-38))), 0.0)

        before, total = total + initial, total + g * g
        after = raised(total + initial) * slower
        linear = linear + g + shrinkage * w - (after - raised(before) * slower) * w
        clipped = m.minimum(m.maximum(linear, 0.0 - l1), l1)
        return (clipped - linear) / (after + l2), total, linear

    @property
    def slots(self) -> tuple[str, ...]:
        return ("accumulator", "linear")

    @property
    def attributes(self) -> dict[str, Any]:
        return {"initial": self.initial_accumulator_value, "power": -self.learning_rate_power,
                "l1": self.l1_regularization_strength, "l2": self.l2_regularization_strength,
                "shrinkage": self.l2_shrinkage_regularization_strength, "beta": self.beta,
                "root": self.learning_rate_power == -0.5}
