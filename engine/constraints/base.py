"""What every constraint is: a projection of a weight, done after each update."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from engine.graph.ir import GraphBuilder, Value


@dataclass(frozen=True, kw_only=True)
class Constraint(ABC):
    """The options; subclasses give the projection."""

    @abstractmethod
    def build(self, b: GraphBuilder, weight: Value) -> Value:
        """The weight as it must be, in its shape. Raises ShapeMismatch for a weight that has no such axis."""
