"""LAMB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.graph.ir import GraphBuilder, Value
from engine.optimizers.base import Schedule, learning_rate, share
from engine.optimizers.matrices import MatrixOptimizer, norm
from engine.options import number, option
from engine.registry import register


@register("optimizer")
@dataclass(frozen=True, kw_only=True)
class Lamb(MatrixOptimizer):
    """Adam's direction in steps as long as each weight's own norm, for large batches (You et al., ICLR 2020)."""

    rule = "lamb"

    learning_rate: float | Schedule = option(learning_rate, default=0.001)
    beta_1: float = option(share, default=0.9)
    beta_2: float = option(share, default=0.999)
    epsilon: float = option(number(minimum=0), default=1e-7)

    @staticmethod
    def numbers(m: Any, rate: Any, step: Any, *, beta_1: Any = 0.9, beta_2: Any = 0.999, epsilon: Any = 1e-7,
                **_: Any) -> tuple[Any, ...]:
        """The rate, what is new, both corrections, and epsilon."""
        return (rate, 1.0 - beta_1, 1.0 - beta_2, 1.0 / (1.0 - m.power(beta_1, step)),
                1.0 / (1.0 - m.power(beta_2, step)), epsilon)

    @staticmethod
    def update(m: Any, numbers: Any, w: Any, g: Any, *slots: Any, **_: Any) -> tuple[Any, ...]:
        """The weight as it decays, the slots, the direction, and the direction times the rate."""
        rate, new_1, new_2, correction_1, correction_2, epsilon = numbers
        momentum, velocity = slots
        momentum = momentum + (g - momentum) * new_1
        velocity = velocity + (g * g - velocity) * new_2
        direction = momentum * correction_1 / (m.sqrt(velocity * correction_2) + epsilon)
        return w, momentum, velocity, direction, rate * direction

    def build(self, b: GraphBuilder, name: str, weight: Value, gradient: Value,
              slots: Mapping[str, Value]) -> tuple[Value, dict[str, Value]]:
        """w -= |w| / |direction| rate direction; where either is 0, the ratio is 1."""
        decayed, *kept, direction, change = b.apply(
            "step", weight, gradient, *slots.values(), slots=len(slots), extra=2, **self.applied)
        length, other = norm(b, decayed), norm(b, direction)
        known = b.op("multiply", b.op("greater", length, b.constant(0.0)), b.op("greater", other, b.constant(0.0)))
        ratio = b.op("where", known, b.op("divide", length, other), b.constant(1.0))
        return (b.op("subtract", decayed, b.op("multiply", change, ratio)), dict(zip(slots, kept, strict=True)))

    @property
    def slots(self) -> tuple[str, ...]:
        return ("momentum", "velocity")

    @property
    def attributes(self) -> dict[str, Any]:
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
