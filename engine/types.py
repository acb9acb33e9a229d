"""Types of values in a graph: an element type and a shape whose batch dimension stays open."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

DTYPES = {"float32": "f32", "float64": "f64", "int32": "i32", "int64": "i64", "uint8": "u8", "bool": "bool"}
"""Element types by numpy's name, with the name that graph text shows."""


@dataclass(frozen=True)
class Batch:
    """A dimension of `factor` times the number of examples in the batch, which is known when a plan is bound."""

    factor: int = 1

    def __str__(self) -> str:
        return "B" if self.factor == 1 else f"{self.factor}B"

    def length(self, batch: int) -> int:
        """The dimension for a given number of examples."""
        return self.factor * batch


@dataclass(frozen=True)
class Parts(Batch):
    """How many parts of at least `least` positions a batch dimension has, up to `most`: for scratch memory."""

    least: int = 1
    most: int = 1

    def length(self, batch: int) -> int:
        return min(self.most, -(-self.factor * batch // self.least))


Dim = int | Batch
Shape = tuple[Dim, ...]


@dataclass(frozen=True)
class Type:
    """Element type and shape of a value."""

    shape: Shape
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"expected a dtype among {', '.join(DTYPES)}, received {self.dtype!r}")

    @property
    def rank(self) -> int:
        return len(self.shape)

    def __str__(self) -> str:
        return f"{DTYPES[self.dtype]}[{','.join(str(dim) for dim in self.shape)}]"


def concrete(shape: Shape, batch: int) -> tuple[int, ...]:
    """The shape for a given number of examples."""
    return tuple(dim.length(batch) if isinstance(dim, Batch) else dim for dim in shape)


def times(dim: Dim, count: int) -> Dim:
    """A dimension `count` times as long."""
    return Batch(dim.factor * count) if isinstance(dim, Batch) else dim * count


def size(shape: Shape, batch: int) -> int:
    """The number of elements for a given number of examples."""
    return math.prod(concrete(shape, batch))


def size_bytes(type: Type, batch: int) -> int:
    """The bytes a value takes for a given number of examples."""
    return size(type.shape, batch) * np.dtype(type.dtype).itemsize


def open_shape(shape: Shape) -> list[int | None]:
    """The shape as JSON shows it: batch dimensions are null."""
    return [None if isinstance(dim, Batch) else dim for dim in shape]


def known(shape: Shape) -> tuple[int, ...]:
    """Dimensions that do not depend on the batch. Raises ValueError for one that does."""
    dims = tuple(dim for dim in shape if not isinstance(dim, Batch))
    if len(dims) != len(shape):
        raise ValueError(f"expected known dimensions, received ({', '.join(map(str, shape))})")
    return dims
