"""What every regularizer is: a sum over the elements of a value that is added to the loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from engine.graph.ir import GraphBuilder, Value


@dataclass(frozen=True, kw_only=True)
class Regularizer(ABC):
    """The options; subclasses give the penalty of every element."""

    @abstractmethod
    def terms(self, b: GraphBuilder, x: Value) -> Value | None:
        """The penalty of each element of `x`, in its shape; None when the options ask for no penalty."""

    def build(self, b: GraphBuilder, weight: Value) -> Value:
        """The penalty of a weight: a scalar, shape ()."""
        terms = self.terms(b, weight)
        return b.constant(0.0) if terms is None else b.op("reduce_sum", terms, axes=tuple(range(weight.type.rank)))

    def build_activity(self, b: GraphBuilder, output: Value) -> Value:
        """The penalty of a layer's output (batch, …), divided by the number of examples as in Keras 3: shape ()."""
        terms = self.terms(b, output)
        if terms is None:
            return b.constant(0.0)
        if output.type.rank > 1:
            terms = b.op("reduce_sum", terms, axes=tuple(range(1, output.type.rank)))
        return b.op("reduce_mean", terms, axes=(0,))
