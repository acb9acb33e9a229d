"""Vectors for whole numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.constraints.base import Constraint
from engine.graph.ir import Value
from engine.initializers.base import Initializer
from engine.initializers.random import RandomUniform
from engine.layers.base import Layer, LayerSample, Net
from engine.layers.weighted import constraint, initializer, regularizer
from engine.options import boolean, integer, only, option
from engine.registry import register
from engine.regularizers.base import Regularizer


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Embedding(Layer):
    """Row i of a table of `input_dim` rows in the place of each number i of the input.

    With `mask_zero`, zeros are padding: layers that heed masks leave them out. Numbers outside 0 … input_dim - 1 give
    NaN.
    Input shape: (batch, …). Output shape: (batch, …, output_dim).
    """

    input_dim: int = option(integer(minimum=1))
    output_dim: int = option(integer(minimum=1))
    embeddings_initializer: Initializer = option(initializer, default=RandomUniform())
    embeddings_regularizer: Regularizer | None = option(regularizer, default=None)
    activity_regularizer: Regularizer | None = option(regularizer, default=None)
    embeddings_constraint: Constraint | None = option(constraint, default=None)
    mask_zero: bool = option(boolean, default=False)
    quantization_config: Any = option(only(None, "quantization is not supported"), default=None)

    supports_masking = True
    size_option = "output_dim"
    samples = (LayerSample({"input_dim": 5, "output_dim": 3}, ((4,),), (4, 3), 15, integers=5),
               LayerSample({"input_dim": 6, "output_dim": 2}, ((2, 3),), (2, 3, 2), 12, integers=6))

    def build(self, net: Net, *inputs: Value) -> Value:
        return net.b.op("embedding", self.table(net), *inputs)

    def table(self, net: Net) -> Value:
        """(input_dim, output_dim)"""
        return net.weight("embeddings", (self.input_dim, self.output_dim), self.embeddings_initializer,
                          regularizer=self.embeddings_regularizer)

    def compute_mask(self, net: Net, *inputs: Value) -> Value | None:
        """1 where the number is not 0, if zeros are padding."""
        if not self.mask_zero:
            return None
        padding = net.b.op("equal", net.b.op("scale", inputs[0], factor=1.0), net.b.constant(0.0))
        return net.b.op("scale", padding, factor=-1.0, offset=1.0)
