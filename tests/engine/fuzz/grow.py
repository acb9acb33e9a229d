"""Random graphs: values that ops are applied to, one after the other, and the gradients of what comes out."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from engine.autodiff import gradients
from engine.graph.interpret import closed
from engine.graph.ir import GraphBuilder, Node, Value
from engine.ops.base import Op, ShapeMismatch
from engine.types import Batch, Shape, Type, concrete
from tests.engine.fuzz.case import Case, Domain

BATCHES = (1, 2, 3, 5, 7, 8, 16, 17, 33)
SIZES = (1, 1, 2, 3, 4, 5, 7, 8, 11, 13, 15, 16, 17, 31, 32, 33, 37, 64, 65)
"""Ones, primes, and what lies around the vectors' lanes."""
SIDES = (1, 2, 3, 4, 5, 6, 7, 9, 11)
LARGEST_VALUE, MOST_ELEMENTS, MOST_WORK = 30.0, 60_000, 4_000_000

Move = Callable[["Growth"], None]


class Unfit(Exception):
    """A move that cannot be made here."""


class Growth:
    """`pool` are the values so far, each with its float64 array in `arrays` for `batch` examples."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.b = GraphBuilder(f"seed{seed}")
        self.batch = int(self.random.choice(BATCHES))
        self.pool: list[Value] = []
        self.arrays: dict[Value, np.ndarray] = {}
        self.domains: dict[str, Domain] = {}

    # Choices ----------------------------------------------------------------------------------------------------------

    def one(self, *choices: Any) -> Any:
        """One of them."""
        return choices[int(self.random.integers(len(choices)))]

    def chance(self, probability: float) -> bool:
        """Whether it happens."""
        return bool(self.random.random() < probability)

    def size(self) -> int:
        """Of a dimension of channels."""
        return int(self.one(*SIZES))

    def any(self, fits: Callable[[Value], bool] = lambda value: True) -> Value:
        """A float value of the pool, newer ones more often. Raises Unfit if there is none."""
        found = [value for value in self.pool if value.dtype == "float32" and fits(value)]
        if not found:
            raise Unfit
        return found[max(self.random.integers(len(found), size=2))]

    def image(self) -> Value:
        """(batch, height, width, channels)."""
        return self.any(lambda value: len(value.shape) == 4 and value.shape[0] == Batch())

    def rows(self) -> Value:
        """(batch, features)."""
        return self.any(lambda value: len(value.shape) == 2 and value.shape[0] == Batch())

    # Values -----------------------------------------------------------------------------------------------------------

    def input(self, shape: Shape, dtype: str = "float32", domain: Domain | None = None) -> Value:
        """A new one, in the pool."""
        name = f"x{len(self.b.inputs)}"
        return self._leaf(self.b.input(name, Type(shape, dtype)), domain or Domain())

    def parameter(self, *shape: int, domain: Domain | None = None) -> Value:
        """A new one, not in the pool; a kernel's numbers are small enough that sums keep the size of their terms."""
        fan = max(1, prod(shape[:-1])) if len(shape) > 1 else 2
        name = f"p{len(self.b.parameters)}"
        value = self._leaf(self.b.parameter(name, Type(shape)), domain or Domain(scale=fan**-0.5))
        self.pool.remove(value)
        return value

    def _leaf(self, value: Value, domain: Domain) -> Value:
        self.domains[value.name] = domain
        array = domain.draw(self.random, concrete(value.shape, self.batch), value.dtype)
        self.arrays[value] = array.astype("float64") if value.dtype == "float32" else array
        self.pool.append(value)
        return value

    def constant(self, data: Any) -> Value:
        """A number known when the plan is made."""
        value = self.b.constant(data)
        assert value.data is not None
        self.arrays[value] = value.data.astype("float64")
        return value

    def apply(self, op: str, *inputs: Value, **attrs: Any) -> Value:
        """Apply an op; its first output, scaled if it is large. Raises Unfit where it is too much, or no number."""
        before = len(self.b.nodes)
        try:
            outputs = self.b.apply(op, *inputs, **attrs)
        except (ShapeMismatch, ValueError, TypeError, IndexError) as error:
            raise Unfit from error
        node = self.b.nodes[-1]
        try:
            if any(prod(concrete(output.shape, self.batch)) > MOST_ELEMENTS for output in outputs):
                raise Unfit
            if node.op.flops(node) * self.batch > MOST_WORK:
                raise Unfit
            self._evaluate(node)
        except Unfit:
            del self.b.nodes[before:]
            raise
        found = outputs[0]
        if type(node.op).vjp is Op.vjp and found.dtype == "float32":
            found = self.apply("stop_gradient", found) if op != "stop_gradient" else found
        elif (most := float(np.abs(self.arrays[found]).max(initial=0.0))) > LARGEST_VALUE and op != "scale":
            found = self.apply("scale", found, factor=float(np.float32(1 / most)))
        self.pool += [output for output in outputs[1:] if output.dtype != "float32"]
        if found is outputs[0]:  # else its own application has put it there
            self.pool.append(found)
        return found

    def _evaluate(self, node: Node) -> None:
        arrays = [self.arrays[value] for value in node.inputs if value.role != "state"]
        with np.errstate(all="ignore"):
            results = node.op.reference(*arrays, **closed(node.attrs, self.batch))
        for output, result in zip(node.outputs, results, strict=True):
            if result.dtype.kind == "f" and not np.isfinite(result).all():
                raise Unfit
            self.arrays[output] = result

    # The whole --------------------------------------------------------------------------------------------------------

    def finish(self) -> Case:
        """Fetch a few values, a loss and its gradients."""
        floats = [value for value in self.pool if value.dtype == "float32" and value.role == "node"]
        fetched = {f"y{index}": value for index, value in enumerate(self._some(self.pool[-4:], 2))}
        if floats and self.chance(0.8):
            ends = self._some(floats[-5:], 3)
            terms = [self._term(value) for value in dict.fromkeys(ends)]
            loss = terms[0]
            for term in terms[1:]:
                loss = self.b.op("add", loss, term)
            leaves = [value for value in (*self.b.inputs.values(), *self.b.parameters.values())
                      if value.dtype == "float32" and value.name not in self._weights]
            wanted = leaves if self.chance(0.7) else self._some(leaves, 2)
            found = gradients(self.b, loss, wanted)
            fetched |= {"loss": loss, **{f"d_{leaf.name}": g for leaf, g in zip(wanted, found, strict=True)}}
        return Case(self.b.finish(**fetched), self.domains, self.batch)

    _weights: tuple[str, ...] = ()

    def _some(self, values: list[Value], most: int) -> list[Value]:
        return [self.one(*values) for _ in range(int(self.random.integers(1, most + 1)))]

    def _term(self, value: Value) -> Value:
        """Its mean, weighted so that no element's gradient is as the next one's."""
        weights = self.input(value.shape)
        self._weights += (weights.name,)
        weighted = self.b.op("multiply", value, weights)
        return self.b.op("reduce_mean", weighted, axes=tuple(range(len(value.shape)))) if value.shape else weighted


def grow(seed: int) -> Case:
    """The graph of a seed."""
    from tests.engine.fuzz.moves import MOVES, start

    growth = Growth(seed)
    start(growth)
    for _ in range(int(growth.random.integers(1, 11))):
        for _ in range(20):
            try:
                growth.one(*MOVES)(growth)
                break
            except Unfit:
                continue
    return growth.finish()

