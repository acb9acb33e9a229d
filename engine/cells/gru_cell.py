"""The cell of GRU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.activations.base import Activation
from engine.activations.functions import Sigmoid
from engine.cells.base import States
from engine.cells.gated import Gated, Weights, activation_option
from engine.graph.ir import Value
from engine.layers.base import Net
from engine.options import boolean, option
from engine.registry import register


@register("cell", "GRUCell")
@dataclass(frozen=True, kw_only=True)
class GRUCell(Gated):
    """Gated recurrent unit: gates z, r = recurrent_activation(…), h = z h + (1 - z) activation(…).

    With `reset_after` the gate r is applied after the state's product, which has a bias of its own; without, before.
    """

    recurrent_activation: Activation | None = option(activation_option, default=Sigmoid())
    reset_after: bool = option(boolean, default=True)

    recurrence = "gru"
    torch_order = (1, 0, 2)

    @property
    def gate(self) -> Activation | None:
        return self.recurrent_activation

    @property
    def bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    @property
    def quick(self) -> bool:
        return super().quick and self.reset_after

    def torch_state(self, variables: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        """None if the reset gate is applied before the product, which PyTorch's layer does not do."""
        return super().torch_state(variables) if self.reset_after else {}

    def _row(self, net: Net, bias: Value, row: int) -> Value:
        return net.b.op("reshape", net.b.op("slice", bias, axis=0, start=row, stop=row + 1), shape=(3 * self.units,))

    def outer_bias(self, net: Net, weights: Weights) -> Value | None:
        return self._row(net, weights.bias, 0) if weights.bias is not None and self.reset_after else weights.bias

    def inner_bias(self, net: Net, weights: Weights) -> list[Value]:
        if weights.bias is None:
            return [net.b.constant(np.zeros(3 * self.units))]
        return [self._row(net, weights.bias, 1)]

    def step(self, net: Net, weights: Weights, x: list[Value], states: States) -> States:
        b, (h,), units = net.b, states, self.units
        if self.reset_after:
            biases = [b.op("slice", self.inner_bias(net, weights)[0], axis=0, start=place * units,
                           stop=(place + 1) * units) for place in range(3)]
            inner = [b.op("add", *pair) for pair in zip(self.inner(net, weights, h), biases, strict=True)]
        else:
            inner = self.inner(net, weights, h)
        z, r = (net.activate(b.op("add", x[place], inner[place]), self.gate) for place in (0, 1))
        left = b.op("multiply", r, inner[2]) if self.reset_after else self._reset_before(net, weights, h, r)
        new = net.activate(b.op("add", x[2], left), self.activation)
        rest = b.op("scale", z, factor=-1.0, offset=1.0)
        return (b.op("add", b.op("multiply", z, h), b.op("multiply", rest, new)),)

    def _reset_before(self, net: Net, weights: Weights, h: Value, r: Value) -> Value:
        b, units = net.b, self.units
        if weights.states:
            h = b.op("multiply", h, weights.states[2])
        kernel = b.op("slice", weights.recurrent, axis=1, start=2 * units, stop=3 * units)
        return b.op("matmul", b.op("multiply", r, h), kernel)
