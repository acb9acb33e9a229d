"""Activations as layers of their own."""

from __future__ import annotations

from dataclasses import dataclass

from engine.activations.along import axis_option, rows
from engine.activations.base import Activation as Function
from engine.activations.relu import rectify
from engine.constraints.base import Constraint
from engine.graph.ir import Value
from engine.initializers.base import Initializer
from engine.initializers.constant import Zeros
from engine.layers.base import Layer, LayerSample, Net, OptionMismatch, text
from engine.layers.weighted import constraint, initializer, regularizer
from engine.ops.base import ShapeMismatch
from engine.options import either, entry, integer, number, option, optional, sequence
from engine.registry import register
from engine.regularizers.base import Regularizer

LOWEST = -1e9
"""What Keras takes for values that a mask leaves out."""


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Activation(Layer):
    """An activation function.

    Input shape: any. Output shape: the input's.
    """

    activation: Function = option(entry("activation"))

    supports_masking = True
    samples = (LayerSample({"activation": "tanh"}, ((5,),), (5,)),
               LayerSample({"activation": {"type": "leaky_relu", "negative_slope": 0.1}}, ((2, 3, 4),), (2, 3, 4)),
               LayerSample({"activation": {"type": "glu", "axis": 1}}, ((4, 3),), (2, 3)))

    def build(self, net: Net, *inputs: Value) -> Value:
        return net.activate(inputs[0], self.activation)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class ReLU(Layer):
    """max(x, 0); or x above `threshold`, at most `max_value`, `negative_slope` times what lies below.

    Input shape: any. Output shape: the input's.
    """

    max_value: float | None = option(optional(number(minimum=0)), default=None)
    negative_slope: float = option(number(minimum=0), default=0.0)
    threshold: float = option(number(minimum=0), default=0.0)

    supports_masking = True
    samples = (LayerSample({}, ((5,),), (5,)), LayerSample({"max_value": 6}, ((2, 3),), (2, 3)),
               LayerSample({"max_value": 1, "negative_slope": 0.1, "threshold": 0.2}, ((4,),), (4,)))

    def build(self, net: Net, *inputs: Value) -> Value:
        return rectify(net.b, inputs[0], self.negative_slope, self.max_value, self.threshold)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class LeakyReLU(Layer):
    """x above 0, `negative_slope` times x below.

    Input shape: any. Output shape: the input's.
    """

    negative_slope: float = option(number(minimum=0), default=0.3)

    supports_masking = True
    samples = (LayerSample({}, ((5,),), (5,)), LayerSample({"negative_slope": 0.1}, ((2, 3),), (2, 3)))

    def build(self, net: Net, *inputs: Value) -> Value:
        return net.b.op("leaky_relu", inputs[0], negative_slope=self.negative_slope)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class ELU(Layer):
    """x above 0, `alpha` times (exp(x) - 1) below.

    Input shape: any. Output shape: the input's.
    """

    alpha: float = option(number(), default=1.0)

    supports_masking = True
    samples = (LayerSample({}, ((5,),), (5,)), LayerSample({"alpha": 0.5}, ((2, 3),), (2, 3)))

    def build(self, net: Net, *inputs: Value) -> Value:
        return net.b.op("elu", inputs[0], alpha=self.alpha)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class PReLU(Layer):
    """x above 0, a learned `alpha` times x below (He et al., ICCV 2015); along `shared_axes` there is one alpha.

    Input shape: (batch, …). Output shape: the input's.
    """

    alpha_initializer: Initializer = option(initializer, default=Zeros())
    alpha_regularizer: Regularizer | None = option(regularizer, default=None)
    alpha_constraint: Constraint | None = option(constraint, default=None)
    shared_axes: tuple[int, ...] | None = option(
        optional(either(sequence(integer(minimum=1), maximum=7), integer(minimum=1))), default=None)

    supports_masking = True
    samples = (LayerSample({}, ((5,),), (5,), 5), LayerSample({"shared_axes": [1, 2]}, ((4, 3, 2),), (4, 3, 2), 2),
               LayerSample({"shared_axes": [1], "alpha_initializer": "ones"}, ((4, 3),), (4, 3), 3))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        shared = (self.shared_axes,) if isinstance(self.shared_axes, int) else self.shared_axes or ()
        if any(axis >= x.type.rank for axis in shared):
            raise OptionMismatch("shared_axes", f"dimensions of {text(x.shape)}", list(shared))
        shape = tuple(1 if axis in shared else dim for axis, dim in enumerate(x.shape[1:], 1))
        alpha = net.weight("alpha", shape, self.alpha_initializer, regularizer=self.alpha_regularizer)
        below = net.b.op("multiply", alpha, net.b.op("relu", net.b.op("negative", x)))
        return net.b.op("subtract", net.b.op("relu", x), below)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Softmax(Layer):
    """exp(x) / sum(exp(x)) along one dimension, or over several together; what a mask leaves out is 0.

    Input shape: (batch, …). Output shape: the input's.
    """

    axis: int | tuple[int, ...] = option(either(sequence(axis_option, 1, 7), axis_option), default=-1)

    supports_masking = True
    samples = (LayerSample({}, ((5,),), (5,)), LayerSample({"axis": 2}, ((3, 4),), (3, 4)),
               LayerSample({"axis": 1}, ((3, 4),), (3, 4)), LayerSample({"axis": [1, -1]}, ((3, 4, 2),), (3, 4, 2)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        b, mask = net.b, net.mask(x)
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        rank = x.type.rank
        if len({axis % rank for axis in axes}) < len(axes):
            raise OptionMismatch("axis", "different dimensions", list(axes))
        try:
            if mask is None:
                return rows(b, "softmax", x, axes)
            y = rows(b, "softmax", b.op("where", mask, x, b.constant(LOWEST)), axes)
            return b.op("where", mask, y, b.constant(0.0))
        except ShapeMismatch as mismatch:
            expected = f"a dimension of {text(x.shape)} other than the batch"
            raise OptionMismatch("axis", expected, self.axis) from mismatch
