"""The identity matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.initializers.base import Initializer, Shape, Values
from engine.options import number, option
from engine.registry import register


@register("initializer", aliases=("IdentityInitializer",))
@dataclass(frozen=True, kw_only=True)
class Identity(Initializer):
    """`gain` on the diagonal, 0 elsewhere; for variables of two dimensions."""

    gain: float = option(number(), default=1.0)

    def fault(self, shape: Shape) -> str | None:
        return None if len(shape) == 2 else f"expected a shape of rank 2, received rank {len(shape)}"

    def __call__(self, shape: Shape, seed: int) -> Values:
        self.require(shape)
        return np.eye(*shape, dtype=np.float32) * np.float32(self.gain)
