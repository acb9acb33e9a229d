"""A graph with what its inputs and parameters may hold: everything that a run of it needs but a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.graph.ir import Graph, Value
from engine.graph.text import print_graph
from engine.types import concrete

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Domain:
    """Integers below `below`, or normal numbers of this `scale`; `positive` ones are at least 0.1."""

    below: int = 0
    scale: float = 1.0
    positive: bool = False

    def draw(self, random: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """An array; floats are exact in float32, so that every precision starts from the same numbers."""
        if self.below:
            return random.integers(0, self.below, shape).astype(dtype)
        drawn = random.standard_normal(shape) * self.scale
        return np.asarray(np.abs(drawn) + 0.1 if self.positive else drawn, dtype)

    @staticmethod
    def of(array: np.ndarray) -> Domain:
        """One that holds numbers like these."""
        if array.dtype.kind != "f":
            return Domain(below=int(array.max(initial=0)) + 1)
        return Domain(scale=max(1e-3, float(array.std())), positive=bool(array.size and array.min() > 0))


@dataclass(frozen=True)
class Case:
    """`batch` is the largest number of examples that its plan has memory for."""

    graph: Graph
    domains: Mapping[str, Domain]
    batch: int

    def arrays(self, batch: int, seed: int) -> tuple[Arrays, Arrays]:
        """Feeds and parameters."""
        random = np.random.default_rng((seed, batch))

        def drawn(values: tuple[Value, ...]) -> Arrays:
            return {value.name: self.domains[value.name].draw(random, concrete(value.shape, batch), value.dtype)
                    for value in values}

        return drawn(self.graph.inputs), drawn(self.graph.parameters)

    def __str__(self) -> str:
        return f"{print_graph(self.graph)}\nfor up to {self.batch} examples"
