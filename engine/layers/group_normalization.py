"""Group normalization (Wu and He, arXiv:1803.08494)."""

from __future__ import annotations

from dataclasses import dataclass

from engine.graph.ir import Value
from engine.layers.base import LayerSample, Net, OptionMismatch, text
from engine.layers.normalization import Normalization, axis, dimensions, standardized
from engine.ops.base import ShapeMismatch
from engine.options import integer, option
from engine.registry import register


@register("layer")
@dataclass(frozen=True, kw_only=True)
class GroupNormalization(Normalization):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, with each example's moments over a group of channels.

    `axis` is the channels' dimension. One group takes all channels together, -1 means as many groups as channels.
    Input shape: (batch, …, channels). Output shape: the input's.
    """

    groups: int = option(integer(minimum=-1), default=32)
    axis: int = option(axis, default=-1)

    samples = (LayerSample({"groups": 2}, ((6,),), (6,), 12), LayerSample({"groups": -1}, ((3, 4, 2),), (3, 4, 2), 4),
               LayerSample({"groups": 1, "scale": False}, ((3, 4),), (3, 4), 4),
               LayerSample({"groups": 3, "axis": 1, "center": False}, ((6, 2),), (6, 2), 6))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        if x.type.rank < 2:
            raise ShapeMismatch("rank 2 or more (batch, …, channels)", text(x.shape))
        (place,) = dimensions(x, self.axis)
        channels = x.shape[place]
        groups = channels if self.groups == -1 else self.groups
        if not groups or channels % groups:
            raise OptionMismatch("groups", f"a divisor of the {channels} channels, or -1", self.groups)
        b = net.b
        parted = (*x.shape[:place], groups, channels // groups, *x.shape[place + 1:])
        axes = tuple(dim for dim in range(1, len(parted)) if dim != place)
        normal = standardized(b, b.op("reshape", x, shape=parted), axes, self.epsilon)
        shape = tuple(dim if index == place else 1 for index, dim in enumerate(x.shape))
        gamma, beta = (b.op("reshape", weight, shape=shape) for weight in self.gamma_and_beta(net, (channels,)))
        return b.op("add", b.op("multiply", b.op("reshape", normal, shape=x.shape), gamma), beta)
