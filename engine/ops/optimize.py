"""One flat node that updates all variables by a rule.

Its inputs are for each variable the weights, the gradient and the slots, then the state, where the step's learning rate
and the number of steps done stand. The rules are Keras 3's and stand in `engine/optimizers/`; weight decay is decoupled
(Loshchilov and Hutter, 2019): w -= learning_rate * weight_decay * w, before the update.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.expressions import numbers_and_flags, rule
from engine.graph.ir import Node, Value
from engine.lowering.request import KernelRequest
from engine.ops import numpy_math
from engine.ops.base import Op, ShapeMismatch, op
from engine.types import Type, size

OPERATIONS = 12
"""Counted for an element, about what Adam takes."""


@op("update")
class Update(Op):
    """`rule` names an optimizer's; a variable has so many `slots`. The other attributes are the rule's own."""

    effect = True
    stateful = True
    run_only = True

    def infer(self, *types: Type, rule: str, slots: int, **attrs: Any) -> tuple[Type, ...]:
        return ()

    def written(self, node: Node) -> tuple[Value, ...]:
        group = 2 + node.attrs["slots"]
        return tuple(value for index, value in enumerate(node.inputs[:-1]) if index % group != 1)

    def lower(self, node: Node) -> list[KernelRequest]:
        *rest, state = node.inputs
        return [KernelRequest("optimize", "update", (state, *rest), self.written(node), node.attrs)]

    def flops(self, node: Node) -> int:
        return OPERATIONS * sum(size(value.shape, 1) for value in node.inputs[:-1:2 + node.attrs["slots"]])


@op("step")
class Step(Op):
    """What the rule makes of one variable, as new values: the weight, its slots, and `extra` values of its shape.

    For what has to be done to a weight between its update and its storing: constraints, norms, products of matrices.
    Inputs are the weights, the gradient and the slots, then the state.
    """

    stateful = True
    run_only = True

    def infer(self, *types: Type, rule: str, slots: int, extra: int = 0, **attrs: Any) -> tuple[Type, ...]:
        weight = types[0]
        for other in types[1:2 + slots]:
            if other != weight:
                raise ShapeMismatch(str(weight), str(other))
        return (weight,) * (1 + slots + extra)

    def lower(self, node: Node) -> list[KernelRequest]:
        *rest, state = node.inputs
        return [KernelRequest("optimize", "step", (state, *rest), node.outputs, node.attrs)]

    def flops(self, node: Node) -> int:
        return OPERATIONS * size(node.inputs[0].shape, 1)


def updated(name: str, rate: float, step: int, variable: Sequence[np.ndarray], *, weight_decay: float = 0.0,
            **options: Any) -> tuple[np.ndarray, ...]:
    """The reference: weights and slots afterwards, of (weights, gradient, slots …). `step` counts from 1."""
    numbers, flags = numbers_and_flags(options)
    weights, gradient, *slots = variable
    found = rule(name).numbers(numpy_math, rate, step, **numbers)
    return rule(name).update(numpy_math, found, weights * (1 - rate * weight_decay), gradient, *slots, **flags)
