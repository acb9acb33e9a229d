"""What an op declares, all in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

import numpy as np

from engine import registry
from engine.graph.ir import GraphBuilder, Node, Value
from engine.lowering.request import KernelRequest
from engine.types import Batch, Shape, Type, size

Gradients = Sequence[Value | None]


class ShapeMismatch(Exception):
    """An op does not fit its inputs: `expected …, received …`."""

    def __init__(self, expected: str, received: object) -> None:
        self.expected = expected
        self.received = received
        super().__init__(f"expected {expected}, received {received}")


@dataclass(frozen=True)
class Sample:
    """One application for the conformance tests: shapes of the inputs (for a concrete batch) and attributes.

    `integers[i]` draws input i as integers below that bound; `differentiable` names the inputs whose gradients are
    checked.
    """

    shapes: tuple[tuple[int, ...], ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    dtypes: tuple[str, ...] = ()
    integers: Mapping[int, int] = field(default_factory=dict)
    positive: tuple[int, ...] = ()
    differentiable: tuple[int, ...] | None = None

    def arrays(self, seed: int) -> list[np.ndarray]:
        """Inputs drawn from a seed: normal, positive where asked, in the declared dtypes."""
        generator = np.random.default_rng(seed)
        arrays = []
        for index, shape in enumerate(self.shapes):
            dtype = self.dtypes[index] if self.dtypes else "float32"
            if index in self.integers:
                arrays.append(generator.integers(0, self.integers[index], shape).astype(dtype))
            else:
                drawn = generator.standard_normal(shape)
                arrays.append((np.abs(drawn) + 0.1 if index in self.positive else drawn).astype(dtype))
        return arrays


class Op:
    """The base of every op. Instances are stateless: the one of a name is made once."""

    name: ClassVar[str]
    samples: ClassVar[Sequence[Sample]] = ()
    effect: ClassVar[bool] = False
    """True for an op that writes a parameter or a record: never removed, shared or reordered."""
    stateful: ClassVar[bool] = False
    """True for an op whose last input is the run's state."""
    run_only: ClassVar[bool] = False
    """True for an op that follows the state to a run's rows, records or learning rates: no one may call it by hand."""
    overwrites: ClassVar[Mapping[int, int]] = {}
    """Output -> input whose buffer it may take over, since each element is read before it is written."""
    views: ClassVar[Mapping[int, int]] = {}
    """Output -> input that it is another view of."""

    def infer(self, *types: Type, **attrs: Any) -> tuple[Type, ...]:
        """Types of the outputs. Raises ShapeMismatch."""
        raise NotImplementedError

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        """Gradients of the inputs, in IR ops, from those of the outputs; None where there is none."""
        raise NotImplementedError(f"op {self.name} has no derivative")

    def reference(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        """The outputs by plain numpy, in the dtype of the inputs."""
        raise NotImplementedError

    def lower(self, node: Node) -> list[KernelRequest]:
        """The kernels that compute the outputs."""
        raise NotImplementedError

    def written(self, node: Node) -> tuple[Value, ...]:
        """The parameters that a node with an effect writes, all of them among its inputs."""
        return ()

    def flops(self, node: Node) -> int:
        """Floating-point operations for one example; by default one for every element of the first output."""
        return size(node.outputs[0].shape, 1) if node.outputs else 0


@cache
def find(name: str) -> Op:
    """The op of this name."""
    cls = registry.lookup("op", name)
    if cls is None:
        raise KeyError(f"no op is named {name!r}")
    instance: Op = cls()
    return instance


def op(name: str) -> Any:
    """Register an op under its name in graph text."""

    def decorate(cls: type[Op]) -> type[Op]:
        cls.name = name
        return registry.register("op", name)(cls)

    return decorate


def broadcast_shapes(*shapes: Shape) -> Shape:
    """numpy's rule; an open batch dimension equals only itself and 1."""
    rank = max((len(shape) for shape in shapes), default=0)
    result: list[int | Batch] = []
    for position in range(-rank, 0):
        dims = {shape[position] for shape in shapes if len(shape) >= -position} - {1}
        if len(dims) > 1:
            raise ShapeMismatch("shapes that broadcast together", " and ".join(_text(shape) for shape in shapes))
        result.append(dims.pop() if dims else 1)
    return tuple(result)


def expect_rank(type: Type, rank: int, layout: str) -> None:
    """Raise ShapeMismatch unless the type has this rank."""
    if type.rank != rank:
        raise ShapeMismatch(f"rank {rank} {layout}", _text(type.shape))


def expect_shape(what: str, type: Type, shape: Shape) -> None:
    """Raise ShapeMismatch unless the type has this shape. Compute kernels read as much as shapes promise, unasked."""
    if type.shape != shape:
        raise ShapeMismatch(f"{what} of shape {_text(shape)}", _text(type.shape))


def expect_dtype(type: Type, *dtypes: str) -> None:
    """Raise ShapeMismatch unless the element type is among these."""
    if type.dtype not in dtypes:
        raise ShapeMismatch(f"dtype {' or '.join(dtypes)}", type.dtype)


def _text(shape: Shape) -> str:
    return f"({', '.join('batch' if dim == Batch() else str(dim) for dim in shape)})"
