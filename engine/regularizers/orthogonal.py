"""A penalty on rows or columns that are not orthogonal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.graph.ir import GraphBuilder, Value
from engine.losses.target import normalized
from engine.ops.base import ShapeMismatch
from engine.options import choice, number, option
from engine.registry import register
from engine.regularizers.base import Regularizer


@register("regularizer")
@dataclass(frozen=True, kw_only=True)
class OrthogonalRegularizer(Regularizer):
    """`factor` times the mean absolute cosine of the angles between the rows (or columns) of a matrix."""

    factor: float = option(number(minimum=0), default=0.01)
    mode: str = option(choice("rows", "columns"), default="rows")

    def terms(self, b: GraphBuilder, x: Value) -> Value | None:
        rows = self.mode == "rows"
        if x.type.rank != 2 or x.role == "node":
            raise ShapeMismatch("a weight of rank 2 for OrthogonalRegularizer", str(x.type))
        size = x.shape[0 if rows else 1]
        if not self.factor or size < 2:
            return None
        scaled = normalized(b, x, (1 if rows else 0,))
        product = b.op("matmul", scaled, scaled, transpose_a=not rows, transpose_b=rows)
        apart = b.op("multiply", b.op("abs", product), b.constant(1.0 - np.eye(size)))
        return b.op("scale", apart, factor=self.factor / (size * (size - 1.0)))
