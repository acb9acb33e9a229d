"""A penalty on what passes through."""

from __future__ import annotations

from dataclasses import dataclass

from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net
from engine.options import number, option
from engine.registry import register
from engine.regularizers.norms import L1L2


@register("layer")
@dataclass(frozen=True, kw_only=True)
class ActivityRegularization(Layer):
    """Hands its input on, and adds `l1` times its absolute values and `l2` times its squares to the loss.

    Input shape: any. Output shape: the input's.
    """

    l1: float = option(number(minimum=0), default=0.0)
    l2: float = option(number(minimum=0), default=0.0)

    supports_masking = True
    samples = (LayerSample({}, ((5,),), (5,)), LayerSample({"l1": 0.1, "l2": 0.2}, ((2, 3),), (2, 3)))

    @property
    def activity_regularizer(self) -> L1L2 | None:
        """What the net asks every layer for."""
        return L1L2(l1=self.l1, l2=self.l2) if self.l1 or self.l2 else None

    def build(self, net: Net, *inputs: Value) -> Value:
        return inputs[0]
