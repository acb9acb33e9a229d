"""Options that all optimizers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.expressions import RULES, Rule
from engine.graph.ir import GraphBuilder, Value
from engine.optimizers.extended import ACCUMULATED, AVERAGE, extended
from engine.options import Mismatch, boolean, integer, number, only, option, optional, text
from engine.schedules import Schedule, learning_rate

__all__ = ["Optimizer", "Schedule", "learning_rate", "share"]

share = number(minimum=0, below=1)
"""Reads a share that decays: a momentum, a beta, a rho."""

_positive = optional(number(above=0))


@dataclass(frozen=True, kw_only=True)
class Optimizer(ABC):
    """How gradients change the weights. At most one of `clipnorm`, `clipvalue`, `global_clipnorm` may be given."""

    rule: ClassVar[str]
    """The name of how it changes an element: of its functions `numbers` and `update`, see `engine.expressions.Rule`."""

    learning_rate: float | Schedule
    weight_decay: float | None = option(optional(number(minimum=0)), default=None,
                                        doc="each step subtracts learning_rate * weight_decay * weight first")
    clipnorm: float | None = option(_positive, default=None, doc="the largest norm of each weight's gradient")
    clipvalue: float | None = option(_positive, default=None, doc="the largest absolute value in a gradient")
    global_clipnorm: float | None = option(_positive, default=None, doc="the largest norm of all gradients together")
    use_ema: bool = option(boolean, default=False,
                           doc="keep a moving average of the weights, and take it for them when training ends")
    ema_momentum: float = option(number(minimum=0, maximum=1), default=0.99, doc="the share of the average that stays")
    ema_overwrite_frequency: int | None = option(optional(integer(minimum=1)), default=None,
                                                 doc="take the average for the weights after so many updates, too")
    loss_scale_factor: Any = option(only(None, "float32 needs no scaling of the loss"), default=None)
    gradient_accumulation_steps: int | None = option(optional(integer(minimum=2, maximum=1_000_000)), default=None,
                                                     doc="update by the mean gradient of so many steps")
    name: str | None = option(optional(text()), default=None)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "update" in vars(cls):
            RULES[cls.rule] = extended(Rule(cls.numbers, cls.update))

    @staticmethod
    @abstractmethod
    def numbers(m: Any, rate: Any, step: Any, **options: Any) -> tuple[Any, ...]:
        """What is the same for all elements of a step, in double precision. `step` counts from 1."""

    @staticmethod
    @abstractmethod
    def update(m: Any, numbers: Any, w: Any, g: Any, *slots: Any, **flags: Any) -> tuple[Any, ...]:
        """A weight and its slots afterwards, of the weight (decayed already), its gradient and its slots."""

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of what is kept for each variable, in the order in which `update` takes them."""
        return ()

    @property
    def attributes(self) -> dict[str, Any]:
        """What `numbers` (floats) and `update` (everything else) take by name."""
        return {}

    @property
    def special(self) -> bool:
        """True if `build` does more than the rule: then every variable is updated by nodes of its own."""
        return False

    def slots_of(self, name: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """The shapes of all that is kept for a variable of this name and shape."""
        return dict.fromkeys(self.kept, shape)

    def build(self, b: GraphBuilder, name: str, weight: Value, gradient: Value,
              slots: Mapping[str, Value]) -> tuple[Value, dict[str, Value]]:
        """New values of a weight and of its slots, as nodes; what `update` does in place."""
        new, *kept = b.apply("step", weight, gradient, *slots.values(), slots=len(slots), **self.applied)
        return new, dict(zip(slots, kept, strict=True))

    @property
    def kept(self) -> tuple[str, ...]:
        """All that is kept for each variable: the slots, the sum of gradients and the average of weights, if asked."""
        return (*self.slots, *((ACCUMULATED,) if self.gradient_accumulation_steps else ()),
                *((AVERAGE,) if self.use_ema else ()))

    @property
    def applied(self) -> dict[str, Any]:
        """All attributes of the op `update` but its number of slots."""
        decay, every = self.weight_decay or 0.0, self.gradient_accumulation_steps
        given: dict[str, Any] = {"rule": self.rule, "weight_decay": 0.0 if every else decay, **self.attributes}
        if every:  # most steps change no weights, hence do not let them decay either
            given |= {"accumulates": True, "accumulation": float(every), "decay": decay}
        if self.use_ema:
            given |= {"averages": True, "averaging": self.ema_momentum}
            if self.ema_overwrite_frequency:
                given |= {"overwrites": True, "overwriting": float(self.ema_overwrite_frequency)}
        return given

    def check(self, pointer: str) -> None:
        """As in Keras, gradients are clipped in one way."""
        given = [name for name in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, name) is not None]
        if len(given) > 1:
            raise Mismatch(f"{pointer}/{given[1]}", f"null, as {given[0]} is given", getattr(self, given[1]))
        if given and self.gradient_accumulation_steps:
            raise Mismatch(f"{pointer}/{given[0]}", "null, as gradient_accumulation_steps is given",
                           getattr(self, given[0]))
        if self.ema_overwrite_frequency and not self.use_ema:
            raise Mismatch(f"{pointer}/use_ema", "true, as ema_overwrite_frequency is given", False)
