"""Vectors for whole numbers, and scores of the numbers for vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.cells.base import project
from engine.graph.ir import Value
from engine.layers.base import LayerSample, Net, text
from engine.layers.embedding import Embedding
from engine.ops.base import ShapeMismatch
from engine.options import Reader, boolean, number, only, option, optional
from engine.registry import register


@register("layer")
@dataclass(frozen=True, kw_only=True)
class ReversibleEmbedding(Embedding):
    """An embedding that, called with `reverse`, gives for each vector the product with every row of its table.

    Without `tie_weights` that is a table of its own. `logit_soft_cap` c makes of products p c tanh(p / c).
    Input shape: (batch, …), with `reverse` (batch, …, output_dim).
    Output shape: (batch, …, output_dim), with `reverse` (batch, …, input_dim).
    """

    tie_weights: bool = option(boolean, default=True)
    reverse_dtype: Any = option(only(None, "all is computed in float32"), default=None)
    logit_soft_cap: float | None = option(optional(number(above=0)), default=None)

    supports_masking = False  # a mask is of the vectors alone, not of the products: `build` sets it
    arguments: ClassVar[Mapping[str, Reader]] = {"reverse": boolean}
    samples = (LayerSample({"input_dim": 5, "output_dim": 3}, ((4,),), (4, 3), 15, integers=5),
               LayerSample({"input_dim": 6, "output_dim": 2, "tie_weights": False}, ((2, 3),), (2, 3, 2), 24,
                           integers=6))

    def build(self, net: Net, *inputs: Value, reverse: bool = False) -> Value:
        (x,) = inputs
        table = self.table(net)
        backwards = None if self.tie_weights else net.weight(
            "reverse_embeddings", (self.output_dim, self.input_dim), self.embeddings_initializer)
        if not reverse:
            found = net.b.op("embedding", table, x)
            if (mask := self.compute_mask(net, x)) is not None:
                net.masks[found] = mask
            return found
        if x.type.rank < 2 or x.shape[-1] != self.output_dim:
            raise ShapeMismatch(f"(batch, …, {self.output_dim})", text(x.shape))
        kernel = net.b.op("transpose", table, permutation=(1, 0)) if backwards is None else backwards
        found = project(net, x, kernel, None)
        if self.logit_soft_cap is None:
            return found
        return net.b.op("scale", net.b.op("tanh", net.b.op("scale", found, factor=1 / self.logit_soft_cap)),
                        factor=self.logit_soft_cap)
