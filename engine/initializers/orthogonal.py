"""Orthogonal matrices: Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning" (2014)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.initializers.base import RandomInitializer, Shape, Values
from engine.options import number, option
from engine.registry import register


@register("initializer", aliases=("OrthogonalInitializer",))
@dataclass(frozen=True, kw_only=True)
class Orthogonal(RandomInitializer):
    """A matrix with orthonormal columns (or rows, if it has fewer rows), times `gain`.

    All dimensions but the last count as rows. The decomposition is done in float64: the float32 values then hardly
    depend on the order in which the linear algebra library sums.
    """

    gain: float = option(number(), default=1.0)

    def fault(self, shape: Shape) -> str | None:
        return None if len(shape) >= 2 else f"expected a shape of rank 2 or more, received rank {len(shape)}"

    def __call__(self, shape: Shape, seed: int) -> Values:
        self.require(shape)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        drawn = self.generator(seed).standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(drawn)
        # Without the signs, q would not be uniformly distributed over the orthogonal matrices.
        q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
        q = q.T if rows < columns else q
        return np.ascontiguousarray(self.gain * q, np.float32).reshape(shape)
