"""Optimizers on parameters: the rules, clipping and schedules of the training program, one step at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from engine.eager import settings
from engine.eager.layers import read
from engine.eager.once import empty
from engine.eager.operators import Misuse
from engine.eager.tape import Eager
from engine.eager.tensor import Tensor
from engine.graph.ir import Value
from engine.initializers.constant import Zeros
from engine.kernels import state as run_state
from engine.layers.base import Variable
from engine.optimizers.base import Optimizer
from engine.schedules import rates
from engine.types import Type


class BuiltOptimizer:
    """An optimizer with its slots. `steps` counts updates; the learning rate of the next one is `rate`."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.steps = 0
        self.slots: dict[Tensor, dict[str, Tensor]] = {}
        """What is kept for each parameter, by name."""

    @property
    def rate(self) -> float:
        """By the optimizer's option, which may be a schedule."""
        return float(rates(self.optimizer.learning_rate, np.array([self.steps]))[0])

    def step(self, parameters: Iterable[Tensor]) -> None:
        """Change every parameter that has a gradient. Raises Misuse for what is no parameter."""
        from engine.programs import clipped, update

        chosen: list[Tensor] = []
        for each in parameters:
            if not isinstance(each, Tensor) or each.role != "parameter":
                raise Misuse("step", "parameters", repr(each))
            if each.grad is not None and each.requires_grad and each not in chosen:
                chosen.append(each)
        if not chosen:
            raise Misuse("step", "parameters with gradients: call backward first", "none")
        variables = [self._variable(each, place) for place, each in enumerate(chosen)]
        b = _Step(self, {variable.name: each for variable, each in zip(variables, chosen, strict=True)})
        grads: list[Value] = [each.grad for each in chosen if each.grad is not None]
        with settings.no_grad():
            update(b, self.optimizer, variables, list(chosen), clipped(b, grads, self.optimizer))
        self.steps += 1

    def zero_grad(self, parameters: Iterable[Tensor]) -> None:
        """Forget gradients, so that the next `backward` begins anew."""
        for each in parameters:
            each.grad = None

    @staticmethod
    def _variable(parameter: Tensor, place: int) -> Variable:
        declared = parameter.__dict__.get("held")
        if isinstance(declared, Variable):
            return declared
        return Variable(f"{place}/{parameter.name or 'parameter'}", parameter.shape, Zeros(), True, None)


class _Step(Eager):
    """Builds an update of parameters, whose slots it finds by their names: optimizer/variable/slot."""

    def __init__(self, owner: BuiltOptimizer, chosen: dict[str, Tensor]) -> None:
        super().__init__(step=owner.steps)
        self._owner, self._chosen = owner, chosen
        self._rate = np.array([owner.rate], np.float32)

    def parameter(self, name: str, type: Type) -> Tensor:
        variable, _, slot = name.removeprefix("optimizer/").rpartition("/")
        kept = self._owner.slots.setdefault(self._chosen[variable], {})
        if slot not in kept:
            array: Any = empty(type.shape, type.dtype)  # type: ignore[arg-type]
            array[...] = 0
            kept[slot] = Tensor(array, type, role="parameter", name=name)
        return kept[slot]

    def _state(self, examples: int) -> Tensor:
        made = super()._state(examples)
        made.data[run_state.RATES] = self._rate.ctypes.data
        made.held = (made.held, self._rate)
        return made


def optimizer(type: str | Optimizer, **options: Any) -> BuiltOptimizer:
    """An optimizer of the catalogue: `optimizer("Adam", learning_rate=1e-3)`.

    Raises DefinitionError for an unknown name or option.
    """
    return BuiltOptimizer(read("optimizer", type, options))
