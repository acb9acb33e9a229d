"""What optimizers share that look at a weight as a whole, not element by element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.graph.ir import GraphBuilder, Value
from engine.optimizers.base import Optimizer
from engine.options import only, option


@dataclass(frozen=True, kw_only=True)
class MatrixOptimizer(Optimizer):
    """An optimizer whose every variable is updated by nodes of its own."""

    use_ema: bool = option(only(False, "this optimizer keeps no average of the weights"), default=False)
    ema_overwrite_frequency: Any = option(only(None, "this optimizer keeps no average of the weights"), default=None)
    gradient_accumulation_steps: Any = option(only(None, "this optimizer accumulates no gradients"), default=None)

    @property
    def special(self) -> bool:
        return True


def norm(b: GraphBuilder, x: Value) -> Value:
    """The Euclidean norm of all elements: shape ()."""
    return b.op("sqrt", b.op("reduce_sum", b.op("square", x), axes=tuple(range(x.type.rank))))


def root_mean_square(b: GraphBuilder, x: Value) -> Value:
    """The root of the mean square of all elements: shape ()."""
    return b.op("sqrt", b.op("reduce_mean", b.op("square", x), axes=tuple(range(x.type.rank))))


def step_numbers(b: GraphBuilder, rule: str, count: int, **options: Any) -> list[Value]:
    """`count` numbers of the step, each of shape (1,), from a rule that gives them in the place of a weight."""
    one = b.constant([1.0])
    return list(b.apply("step", one, one, slots=0, extra=count - 1, rule=rule, weight_decay=0.0, **options))
