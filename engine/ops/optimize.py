"""One flat optimizer node for all trainable variables.

Its inputs are for each variable the weights, the gradient and the slots, then the state, where the step's learning rate
and the number of steps done stand. Formulas as Keras 3; weight decay is decoupled (Loshchilov and Hutter, 2019):
w -= learning_rate * weight_decay * w, before the update.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from engine.graph.ir import Node, Value
from engine.lowering.request import KernelRequest
from engine.ops.base import Op, op
from engine.types import Type, size


class Update(Op):
    """`update` changes one variable and its slots in place: the reference of the compute kernel."""

    effect = True
    stateful = True
    cost: ClassVar[int]

    def infer(self, *types: Type, slots: int, **attrs: Any) -> tuple[Type, ...]:
        return ()

    def written(self, node: Node) -> tuple[Value, ...]:
        group = 2 + node.attrs["slots"]
        return tuple(value for index, value in enumerate(node.inputs[:-1]) if index % group != 1)

    def lower(self, node: Node) -> list[KernelRequest]:
        attrs = dict(node.attrs)
        group = 2 + attrs.pop("slots")
        *rest, state = node.inputs
        return [KernelRequest("optimize", self.name, (state, *rest), self.written(node), {**attrs, "group": group})]

    def flops(self, node: Node) -> int:
        return self.cost * sum(size(value.shape, 1) for value in node.inputs[1:-1:2 + node.attrs["slots"]])

    def update(
        self, rate: float, step: int, weights: np.ndarray, gradient: np.ndarray, *slots: np.ndarray, **attrs: Any
    ) -> None:
        """`step` counts from 1."""
        raise NotImplementedError


@op("sgd")
class SGD(Update):
    """v = momentum v - rate g; w += v, or momentum v - rate g with Nesterov's. Without momentum there is no slot."""

    cost = 4

    def update(
        self,
        rate: float,
        step: int,
        weights: np.ndarray,
        gradient: np.ndarray,
        *slots: np.ndarray,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        **_: Any,
    ) -> None:
        weights -= rate * weight_decay * weights
        if not slots:
            weights -= rate * gradient
            return
        (velocity,) = slots
        velocity[...] = momentum * velocity - rate * gradient
        weights += momentum * velocity - rate * gradient if nesterov else velocity


@op("rmsprop")
class RMSprop(Update):
    """Slots: mean square, then mean gradient if `centered`, then velocity if there is momentum.

    Tieleman and Hinton, 2012. The variance of `centered` is at least 0, whatever rounding makes of it; in Keras it may
    fall below, and its root is NaN.
    """

    cost = 8

    def update(
        self,
        rate: float,
        step: int,
        weights: np.ndarray,
        gradient: np.ndarray,
        *slots: np.ndarray,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float = 0.0,
        **_: Any,
    ) -> None:
        weights -= rate * weight_decay * weights
        square, rest = slots[0], list(slots[1:])
        square[...] = rho * square + (1 - rho) * gradient * gradient
        denominator = square + epsilon
        if centered:
            mean = rest.pop(0)
            mean[...] = rho * mean + (1 - rho) * gradient
            denominator = np.maximum(square - mean * mean, 0) + epsilon
        change = rate * gradient / np.sqrt(denominator)
        if rest:
            rest[0][...] = momentum * rest[0] + change
            change = rest[0]
        weights -= change


@op("adam")
class Adam(Update):
    """Adam (Kingma and Ba, 2015); slots m and v, and the largest v with `amsgrad`.

    Its correction of the bias is folded into the rate, as in Keras.
    """

    cost = 12

    def update(
        self,
        rate: float,
        step: int,
        weights: np.ndarray,
        gradient: np.ndarray,
        *slots: np.ndarray,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float = 0.0,
        **_: Any,
    ) -> None:
        weights -= rate * weight_decay * weights
        m, v = slots[:2]
        corrected = rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
        m += (gradient - m) * (1 - beta_1)
        v += (gradient * gradient - v) * (1 - beta_2)
        largest = v
        if len(slots) == 3:
            np.maximum(slots[2], v, out=slots[2])
            largest = slots[2]
        weights -= corrected * m / (np.sqrt(largest) + epsilon)
