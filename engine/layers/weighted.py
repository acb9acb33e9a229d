"""Options that all layers with a kernel and a bias share."""

from __future__ import annotations

from dataclasses import dataclass

from engine.activations.base import Activation
from engine.constraints.base import Constraint
from engine.graph.ir import Value
from engine.initializers.base import Initializer
from engine.initializers.constant import Zeros
from engine.layers.base import Layer, Net
from engine.options import boolean, entry, option, optional
from engine.regularizers.base import Regularizer
from engine.types import Shape

initializer = entry("initializer")
regularizer = optional(entry("regularizer"))
constraint = optional(entry("constraint"))


@dataclass(frozen=True, kw_only=True)
class Weighted(Layer):
    """A layer that ends with: add a bias for each output channel, apply an activation."""

    activation: Activation | None = option(optional(entry("activation")), default=None)
    use_bias: bool = option(boolean, default=True)
    bias_initializer: Initializer = option(initializer, default=Zeros())
    bias_regularizer: Regularizer | None = option(regularizer, default=None)
    activity_regularizer: Regularizer | None = option(regularizer, default=None)
    bias_constraint: Constraint | None = option(constraint, default=None)

    def finish(self, net: Net, value: Value, channels: int, shape: Shape | None = None) -> Value:
        """Bias, activation, and another shape for the same elements if the layer computed in its own."""
        if self.use_bias:
            bias = net.weight("bias", (channels,), self.bias_initializer, regularizer=self.bias_regularizer)
            value = net.b.op("add", value, bias)
        if shape is None or shape == value.shape:
            return net.activate(value, self.activation)
        if self.activation is not None and self.activation.dimensional:
            return net.activate(net.b.op("reshape", value, shape=shape), self.activation)
        return net.b.op("reshape", net.activate(value, self.activation), shape=shape)
