"""Adafactor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.graph.ir import GraphBuilder, Value
from engine.optimizers.base import Schedule, learning_rate
from engine.optimizers.matrices import MatrixOptimizer, root_mean_square, step_numbers
from engine.options import boolean, number, option
from engine.registry import register


@register("optimizer")
@dataclass(frozen=True, kw_only=True)
class Adafactor(MatrixOptimizer):
    """Mean squares of gradients kept as rows and columns only (Shazeer and Stern, ICML 2018).

    For a matrix of a by b this keeps a + b numbers; weights of one dimension have a mean square for each element.
    """

    rule = "adafactor"

    learning_rate: float | Schedule = option(learning_rate, default=0.001)
    beta_2_decay: float = option(number(below=0), default=-0.8)
    epsilon_1: float = option(number(minimum=0), default=1e-30)
    epsilon_2: float = option(number(minimum=0), default=1e-3)
    clip_threshold: float = option(number(above=0), default=1.0)
    relative_step: bool = option(boolean, default=True,
                                 doc="as Keras: no rate is above 1 / sqrt(step), whatever is said here")

    @staticmethod
    def numbers(m: Any, rate: Any, step: Any, *, forgetting: Any = 0.8, rate_decay: Any = 0.0,
                **_: Any) -> tuple[Any, ...]:
        """min(rate, 1 / sqrt(step)), the step, its exponent, and what decay leaves of a weight."""
        return m.minimum(rate, 1.0 / m.sqrt(step)), step, forgetting + 0.0, 1.0 - rate * rate_decay

    @staticmethod
    def update(m: Any, numbers: Any, w: Any, g: Any, *slots: Any, **_: Any) -> tuple[Any, ...]:
        """In the place of a weight: the rate, the share of mean squares that stays, and what decay leaves."""
        rate, step, forgetting, rest = numbers
        return w * 0.0 + rate, 1.0 - m.exp(0.0 - forgetting * m.log(step)), w * 0.0 + rest

    def build(self, b: GraphBuilder, name: str, weight: Value, gradient: Value,
              slots: Mapping[str, Value]) -> tuple[Value, dict[str, Value]]:
        """Shapes as Keras 3: rows are means over the last dimension, columns over the last but one."""
        rate, keep, rest = step_numbers(b, self.rule, 3, forgetting=-self.beta_2_decay,
                                        rate_decay=self.weight_decay or 0.0)
        new = b.op("scale", keep, factor=-1.0, offset=1.0)
        weight = b.op("multiply", weight, rest) if self.weight_decay else weight
        square = b.op("scale", b.op("square", gradient), factor=1.0, offset=self.epsilon_1)
        rank, made = weight.type.rank, {}

        def moved(slot: str, value: Value) -> Value:
            made[slot] = b.op("add", b.op("multiply", slots[slot], keep), b.op("multiply", value, new))
            return made[slot]

        if rank < 2:
            mean_square = moved("velocity", square)
        else:
            rows = moved("row", b.op("reduce_mean", square, axes=(rank - 1,)))
            columns = moved("column", b.op("reduce_mean", square, axes=(rank - 2,)))
            share = b.op("divide", rows, b.op("reduce_mean", rows, axes=(rank - 2,), keepdims=True))
            mean_square = b.op("multiply", b.op("reshape", share, shape=(*share.shape, 1)),
                               b.op("reshape", columns, shape=(*columns.shape[:-1], 1, columns.shape[-1])))
        direction = b.op("divide", gradient, b.op("sqrt", mean_square))
        size = b.op("scale", root_mean_square(b, direction), factor=1 / self.clip_threshold)
        direction = b.op("divide", direction, b.op("maximum", size, b.constant(1.0)))
        length = b.op("maximum", root_mean_square(b, weight), b.constant(self.epsilon_2))
        return b.op("subtract", weight, b.op("multiply", direction, b.op("multiply", rate, length))), made

    def slots_of(self, name: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Rows and columns of a matrix, or of each matrix in a weight of a higher rank."""
        if len(shape) < 2:
            return {"velocity": shape}
        return {"row": shape[:-1], "column": (*shape[:-2], shape[-1])}

    @property
    def slots(self) -> tuple[str, ...]:
        return ("velocity",)
