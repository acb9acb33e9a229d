"""A layer for every step of a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.cells.base import name_of
from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net, OptionMismatch, text, type_name, within
from engine.layers.dense import Dense
from engine.ops.base import ShapeMismatch
from engine.options import inner, option
from engine.registry import register


@register("layer")
@dataclass(frozen=True, kw_only=True)
class TimeDistributed(Layer):
    """The same layer, with the same weights, applied to every step.

    Input shape: (batch, steps, …). Output shape: (batch, steps, …) as the layer makes of one step.
    """

    layer: Any = option(inner("layer"))

    supports_masking = True
    samples = (LayerSample({"layer": {"type": "Dense", "units": 3}}, ((4, 2),), (4, 3), 9),
               LayerSample({"layer": {"type": "Conv2D", "filters": 2, "kernel_size": 2}}, ((3, 4, 4, 1),),
                           (3, 3, 3, 2), 10),
               LayerSample({"layer": {"type": "BatchNormalization"}}, ((2, 3),), (2, 3), 12),
               LayerSample({"layer": {"type": "Dropout", "rate": 0.5}}, ((3, 2),), (3, 2)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        if x.type.rank < 3:
            raise ShapeMismatch("rank 3 or more (batch, steps, …)", text(x.shape))
        if self.layer.arity[0] > 1:
            raise OptionMismatch("layer", "a layer of one input", type_name(self.layer))
        with within("layer"), net.part(name_of(self.layer), self.layer):
            if type(self.layer) is Dense and not (self.layer.activation and self.layer.activation.dimensional):
                output: Value = self.layer.build(net, x)  # its own answer for more dimensions is the same
                return output
            found = [self._step(net, x, step) for step in range(x.shape[1])]
        return found[0] if len(found) == 1 else net.b.op("concatenate", *found, axis=1)

    def _step(self, net: Net, x: Value, step: int) -> Value:
        """What the layer makes of one step, with the dimension of steps."""
        b, mask = net.b, net.mask(x)
        now = b.op("slice", x, axis=1, start=step, stop=step + 1)
        now = b.op("reshape", now, shape=(now.shape[0], *now.shape[2:]))
        if mask is not None and mask.type.rank > 2:
            part = b.op("slice", mask, axis=1, start=step, stop=step + 1)
            net.masks[now] = b.op("reshape", part, shape=(part.shape[0], *part.shape[2:]))
        made = self.layer.build(net, now)
        if isinstance(made, tuple):
            raise ShapeMismatch("a layer of one output", f"{type_name(self.layer)} with {len(made)}")
        return b.op("reshape", made, shape=(made.shape[0], 1, *made.shape[1:]))

    def keras_attribute(self, part: str) -> str:
        return "layer" if part == name_of(self.layer) else str(self.layer.keras_attribute(part))

    def torch_state(self, variables: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        """As the layer's own."""
        state: dict[str, np.ndarray[Any, Any]] = self.layer.torch_state(
            {name.partition("/")[2]: array for name, array in variables.items()})
        return state
