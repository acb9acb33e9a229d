"""The plain recurrent cell."""

from __future__ import annotations

from dataclasses import dataclass

from engine.cells.base import States
from engine.cells.gated import Gated, Weights
from engine.graph.ir import Value
from engine.layers.base import Net
from engine.registry import register


@register("cell", "SimpleRNNCell")
@dataclass(frozen=True, kw_only=True)
class SimpleRNNCell(Gated):
    """h = activation(x kernel + h recurrent_kernel + bias)."""

    recurrence = "simple_rnn"
    torch_order = (0,)

    def step(self, net: Net, weights: Weights, x: list[Value], states: States) -> States:
        total = net.b.op("add", x[0], self.inner(net, weights, states[0])[0])
        return (net.activate(total, self.activation),)
