"""Layers that Keras has beside its models of images, `keras.applications`."""

from __future__ import annotations

from dataclasses import dataclass

from engine.graph.ir import Value
from engine.initializers.constant import Constant
from engine.layers.base import Layer, LayerSample, Net, OptionMismatch
from engine.layers.dropout import drop, share
from engine.layers.randomness import stream
from engine.ops.base import ShapeMismatch
from engine.options import integer, number, option
from engine.registry import register

CONVNEXT, INCEPTION_RESNET = "keras.src.applications.convnext", "keras.src.applications.inception_resnet_v2"


@register("layer")
@dataclass(frozen=True, kw_only=True)
class LayerScale(Layer):
    """x * gamma, a learnt factor for each channel (Touvron et al., ICCV 2021).

    Input shape: (batch, …, projection_dim). Output shape: the input's.
    """

    keras_module = CONVNEXT

    init_values: float = option(number(), doc="what the factors begin with")
    projection_dim: int = option(integer(minimum=1), doc="the number of channels")

    samples = (LayerSample({"init_values": 1e-6, "projection_dim": 3}, ((4, 3),), (4, 3), 3),)

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        if x.shape[-1] != self.projection_dim:
            raise OptionMismatch("projection_dim", f"{x.shape[-1]}, the number of channels", self.projection_dim)
        gamma = net.weight("gamma", (self.projection_dim,), Constant(value=self.init_values))
        return net.b.op("multiply", x, gamma)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class StochasticDepth(Layer):
    """In training, sets whole examples to 0 and divides the others (Huang et al., ECCV 2016); otherwise does nothing.

    Input shape: (batch, …). Output shape: the input's.
    """

    keras_module = CONVNEXT

    drop_path_rate: float = option(share)

    samples = (LayerSample({"drop_path_rate": 0.25}, ((4, 3),), (4, 3)),)

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        number, shape = stream(net, None), (x.shape[0], *(1,) * (x.type.rank - 1))
        return drop(net, x, self.drop_path_rate, shape, number) if net.training and self.drop_path_rate else x


@register("layer")
@dataclass(frozen=True, kw_only=True)
class CustomScaleLayer(Layer):
    """The first input and `scale` times the second.

    Input shapes: (batch, …) twice. Output shape: the inputs'.
    """

    arity = (2, 2)
    keras_module = INCEPTION_RESNET

    scale: float = option(number())

    samples = (LayerSample({"scale": 0.17}, ((4, 3), (4, 3)), (4, 3)),)

    def build(self, net: Net, *inputs: Value) -> Value:
        one, other = inputs
        if one.shape != other.shape:
            raise ShapeMismatch(f"two inputs of shape {one.shape}", other.shape)
        return net.b.op("add", one, net.b.op("scale", other, factor=self.scale))
