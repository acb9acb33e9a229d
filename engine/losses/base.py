"""What every loss is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from engine.graph.ir import GraphBuilder, Value
from engine.losses.target import Target
from engine.options import only, option, optional, text


@dataclass(frozen=True, kw_only=True)
class Loss(ABC):
    """The options of a loss. Sample weights, class weights and the mean over the batch are the training step's."""

    wants: ClassVar[str]
    """The kind of target that a column of integers is taken for: `classes` or `numeric`."""
    accepts: ClassVar[tuple[str, ...]]
    """The kinds of target that it can be computed from."""

    reduction: str = option(only("sum_over_batch_size", "a loss is the mean over the batch"),
                            default="sum_over_batch_size")
    name: str | None = option(optional(text()), default=None)

    @abstractmethod
    def build(self, b: GraphBuilder, target: Value, output: Value) -> Value:
        """The loss of each example: (batch,). `target` is int32 (batch,) or float32 of the output's shape."""

    def expected_outputs(self, target: Target) -> tuple[tuple[int, ...], ...]:
        """The shapes, without the batch, that the model's output may have for this target; the usual one first."""
        if target.kind == "classes":
            return ((target.classes or 0,),)
        return (target.shape or (1,),)
