"""Root mean square normalization (Zhang and Sennrich, arXiv:1910.07467)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.graph.ir import Value
from engine.initializers.constant import Ones
from engine.layers.base import Layer, LayerSample, Net, text
from engine.layers.normalization import axes_reader, dimensions, normalized
from engine.ops.base import ShapeMismatch
from engine.options import number, option
from engine.registry import register


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RMSNormalization(Layer):
    """x / sqrt(mean(x^2) + epsilon) * scale, the mean over `axis`.

    Input shape: (batch, …). Output shape: the input's.
    """

    axis: int | tuple[int, ...] = option(axes_reader, default=-1)
    epsilon: float = option(number(above=0), default=1e-6)

    samples = (LayerSample({}, ((5,),), (5,), 5), LayerSample({"axis": [-1], "epsilon": 1e-3}, ((3, 4),), (3, 4), 4),
               LayerSample({"axis": 1}, ((3, 4),), (3, 4), 3))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        if x.type.rank < 2:
            raise ShapeMismatch("rank 2 or more (batch, …)", text(x.shape))
        axes = dimensions(x, self.axis)
        shape = tuple(x.shape[dim] for dim in axes)
        scale = net.weight("scale", shape, Ones())
        return normalized(net.b, x, axes, scale, net.b.constant(np.zeros(shape)), self.epsilon, centered=False)
