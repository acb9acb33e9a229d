"""Layers one after the other as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.cells.base import name_of
from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net, OptionMismatch, type_name, within
from engine.options import inner, option, sequence
from engine.registry import register


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Pipeline(Layer):
    """Each layer reads what the one before it puts out; for layers that prepare pictures or numbers.

    Input shape: the first layer's. Output shape: the last layer's.
    """

    layers: tuple[Any, ...] = option(sequence(inner("layer"), 1, 100))

    samples = (LayerSample({"layers": [{"type": "RandomBrightness", "factor": 0.2},
                                       {"type": "CenterCrop", "height": 2, "width": 3}]}, ((4, 5, 1),), (2, 3, 1)),
               LayerSample({"layers": [{"type": "Dense", "units": 3}, {"type": "Dense", "units": 2}]}, ((4,),), (2,),
                           23))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        for number, (name, layer) in enumerate(zip(self.names, self.layers, strict=True)):
            with within(f"layers/{number}"), net.part(name, layer):
                if layer.arity[0] > 1:
                    raise OptionMismatch("", "a layer of one input", type_name(layer))
                built = layer.build(net, x)
                if isinstance(built, tuple):
                    raise OptionMismatch("", "a layer of one output", type_name(layer))
                net.conclude(layer, (x,), (built,))
                x = built
        return x

    @property
    def names(self) -> list[str]:
        """What the layers are called, as Keras calls those in a list."""
        found: list[str] = []
        for layer in self.layers:
            place = sum(type(layer) is type(other) for other in self.layers[:len(found)])
            found.append(f"{name_of(layer)}_{place}" if place else name_of(layer))
        return found

    def keras_attribute(self, part: str) -> str:
        return f"layers/{part}"
