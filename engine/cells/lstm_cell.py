"""The cell of LSTM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.activations.base import Activation
from engine.activations.functions import Sigmoid
from engine.cells.base import States
from engine.cells.gated import Gated, Weights, activation_option
from engine.graph.ir import Value
from engine.initializers.base import Initializer, Shape, Values
from engine.layers.base import Net
from engine.options import boolean, option
from engine.registry import register


@dataclass(frozen=True, kw_only=True)
class ForgetBias(Initializer):
    """Ones for the forget gate, the second of four; the others as `others` gives them."""

    others: Initializer

    def __call__(self, shape: Shape, seed: int) -> Values:
        units = shape[0] // 4
        parts = [self.others((units,), seed), np.ones(units, np.float32), self.others((2 * units,), seed)]
        return np.concatenate(parts)

    def fault(self, shape: Shape) -> str | None:
        return self.others.fault((shape[0] // 4,)) or self.others.fault((shape[0] // 2,))


@register("cell", "LSTMCell")
@dataclass(frozen=True, kw_only=True)
class LSTMCell(Gated):
    """Long short-term memory: gates i, f, o = recurrent_activation(…), c = f c + i activation(…), h = o activation(c).

    With `unit_forget_bias` the forget gate's bias starts as 1.
    """

    recurrent_activation: Activation | None = option(activation_option, default=Sigmoid())
    unit_forget_bias: bool = option(boolean, default=True)

    recurrence = "lstm"
    torch_order = (0, 1, 2, 3)

    @property
    def gate(self) -> Activation | None:
        return self.recurrent_activation

    @property
    def start(self) -> Initializer:
        return ForgetBias(others=self.bias_initializer) if self.unit_forget_bias else self.bias_initializer

    def step(self, net: Net, weights: Weights, x: list[Value], states: States) -> States:
        totals = [net.b.op("add", *pair) for pair in zip(x, self.inner(net, weights, states[0]), strict=True)]
        return memorise(net, totals, states[1], self.activation, self.gate)


def memorise(net: Net, totals: list[Value], c: Value, activation: Activation | None, gate: Activation | None) -> States:
    """h and c after a step from the sums of i, f, the new value and o."""
    b = net.b
    i, f, o = (net.activate(totals[place], gate) for place in (0, 1, 3))
    new = net.activate(totals[2], activation)
    c = b.op("add", b.op("multiply", f, c), b.op("multiply", i, new))
    return b.op("multiply", o, net.activate(c, activation)), c
