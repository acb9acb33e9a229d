"""One node of a graph, as operators see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.errors import WeightsError, show
from engine.onnx.taken.flow import Array, Constant, Flow
from engine.onnx.taken.sketch import Sketch

Taken = Flow | Constant
Outputs = Taken | list[Taken | None]
OPERATORS: dict[str, Callable[[Node], Outputs]] = {}
"""What takes in an operator: its first output, or the list of those that are read."""


@dataclass(frozen=True)
class Node:
    """`inputs` are the values it reads, None where an optional one is left out."""

    sketch: Sketch
    operator: str
    name: str
    inputs: Sequence[Taken | None]
    attributes: Mapping[str, Any]
    opset: int
    alone: frozenset[int]
    """The inputs that nothing else reads, by their places."""
    wanted: frozenset[int]
    """The outputs that something reads, by their places."""

    def refuse(self, expected: str, received: object) -> WeightsError:
        """The error that names this node."""
        return WeightsError(f"node {show(self.name)} ({self.operator}): expected {expected}, received "
                            f"{received if isinstance(received, str) else show(received)}")

    def flow(self, place: int = 0, *, anyhow: bool = False) -> Flow:
        """An input that layers compute, the batch in front unless `anyhow`. Raises WeightsError."""
        value = self.inputs[place] if place < len(self.inputs) else None
        if not isinstance(value, Flow):
            raise self.refuse(f"a computed value as input {place}", "a constant" if value is not None else "nothing")
        if not value.layer:
            raise self.refuse("an operator of a known activation here", "a part of one")
        if value.batch and not anyhow:
            raise self.refuse(f"the batch in front of input {place}", f"the batch as dimension {value.batch}")
        return value

    def optional(self, place: int) -> Constant | None:
        """An input that is constant, if there is one. Raises WeightsError for a computed one."""
        value = self.inputs[place] if place < len(self.inputs) else None
        if isinstance(value, Flow):
            raise self.refuse(f"a constant as input {place}", "a computed value")
        return value

    def constant(self, place: int) -> Constant:
        """An input that is constant. Raises WeightsError."""
        if (value := self.optional(place)) is None:
            raise self.refuse(f"a constant as input {place}", "nothing")
        return value

    def vector(self, place: int, size: int) -> Array:
        """A constant of so many numbers. Raises WeightsError."""
        array = self.constant(place).array
        if array.size != size:
            raise self.refuse(f"{size} numbers as input {place}", f"shape {array.shape}")
        return array.reshape(size)

    def number(self, name: str, default: float) -> float:
        """A numeric attribute."""
        return float(self.attributes.get(name, default))

    def numbers(self, name: str, place: int) -> list[int] | None:
        """Integers that are an attribute in old opsets and an input in new ones."""
        if name in self.attributes:
            return [int(number) for number in np.ravel(self.attributes[name])]
        given = self.optional(place)
        return None if given is None else [int(number) for number in given.array.reshape(-1)]


def takes(*operators: str) -> Callable[[Callable[[Node], Outputs]], Callable[[Node], Outputs]]:
    """Declare which layers operators become."""

    def declare(function: Callable[[Node], Outputs]) -> Callable[[Node], Outputs]:
        OPERATORS.update(dict.fromkeys(operators, function))
        return function

    return declare
