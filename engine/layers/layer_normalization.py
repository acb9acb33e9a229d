"""Layer normalization (Ba, Kiros and Hinton, arXiv:1607.06450)."""

from __future__ import annotations

from dataclasses import dataclass

from engine.graph.ir import Value
from engine.layers.base import LayerSample, Net, text
from engine.layers.normalization import Normalization, axes_reader, dimensions, normalized
from engine.ops.base import ShapeMismatch
from engine.options import only, option
from engine.registry import register


@register("layer")
@dataclass(frozen=True, kw_only=True)
class LayerNormalization(Normalization):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, where mean and variance are each example's own over `axis`.

    Input shape: (batch, …). Output shape: the input's.
    """

    axis: int | tuple[int, ...] = option(axes_reader, default=-1)

    rms_scaling: bool = option(only(False, "RMSNormalization is a layer of its own"), default=False)

    samples = (LayerSample({}, ((5,),), (5,), 10),
               LayerSample({"axis": [1, 2], "epsilon": 1e-5}, ((3, 4),), (3, 4), 24),
               LayerSample({"axis": [1], "center": False}, ((3, 4),), (3, 4), 3),
               LayerSample({"scale": False}, ((2, 17),), (2, 17), 17))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        if x.type.rank < 2:
            raise ShapeMismatch("rank 2 or more (batch, …)", text(x.shape))
        axes = dimensions(x, self.axis)
        gamma, beta = self.gamma_and_beta(net, tuple(x.shape[dim] for dim in axes))
        return normalized(net.b, x, axes, gamma, beta, self.epsilon)
