"""Options that all optimizers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.expressions import RULES, Rule
from engine.options import Mismatch, number, only, option, optional, text
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
    use_ema: bool = option(only(False, "moving averages of weights are not supported"), default=False)
    ema_momentum: float = option(share, default=0.99, doc="without effect, as use_ema is false")
    ema_overwrite_frequency: Any = option(only(None, "moving averages of weights are not supported"), default=None)
    loss_scale_factor: Any = option(only(None, "float32 needs no scaling of the loss"), default=None)
    gradient_accumulation_steps: Any = option(only(None, "gradients are not accumulated"), default=None)
    name: str | None = option(optional(text()), default=None)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "update" in vars(cls):
            RULES[cls.rule] = Rule(cls.numbers, cls.update)

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

    def check(self, pointer: str) -> None:
        """As in Keras, gradients are clipped in one way."""
        given = [name for name in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, name) is not None]
        if len(given) > 1:
            raise Mismatch(f"{pointer}/{given[1]}", f"null, as {given[0]} is given", getattr(self, given[1]))
