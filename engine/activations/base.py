"""What every activation is: a function of one value, made of ops."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from engine.graph.ir import GraphBuilder, Value


@dataclass(frozen=True, kw_only=True)
class Activation(ABC):
    """The options of an activation function."""

    dimensional: ClassVar[bool] = False
    """True for one that asks which dimension is which: it is applied to the layer's output in its final shape."""

    @abstractmethod
    def build(self, b: GraphBuilder, x: Value) -> Value:
        """The function of `x`, in the same shape (`glu` halves one dimension). Raises ShapeMismatch."""
