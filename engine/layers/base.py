"""What every layer is, and what it sees while a graph is built.

A layer is its options alone. Its name, whether it is trainable and what it reads belong to its place in a model
(`engine.definition`). The image format is (batch, height, width, channels) throughout.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from engine.activations.base import Activation
from engine.graph.ir import GraphBuilder, Value
from engine.initializers.base import Initializer
from engine.ops.base import ShapeMismatch
from engine.options import only
from engine.regularizers.base import Regularizer
from engine.types import Batch, Shape, Type

channels_last = only("channels_last", "channels_first is not supported")
no_constraint = only(None, "constraints are not supported")


class OptionMismatch(ShapeMismatch):
    """An option does not fit the layer's inputs; `option` names it."""

    def __init__(self, option: str, expected: str, received: object) -> None:
        super().__init__(expected, received)
        self.option = option


@dataclass(frozen=True)
class LayerSample:
    """One use of a layer for the conformance tests: its options, its inputs' shapes without the batch, its output's."""

    options: Mapping[str, Any]
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]
    parameters: int = 0


@dataclass(frozen=True, kw_only=True)
class Layer(ABC):
    """The options of a layer."""

    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    """The least and the largest number of inputs; None: any."""
    size_option: ClassVar[str | None] = None
    """The option that decides the size of the output's last dimension."""
    samples: ClassVar[tuple[LayerSample, ...]] = ()

    @abstractmethod
    def build(self, net: Net, *inputs: Value) -> Value:
        """The layer's output in the graph. Raises ShapeMismatch or OptionMismatch where the inputs do not fit."""


@dataclass(frozen=True)
class Variable:
    """A weight or statistic of a layer: `name` is layer/variable."""

    name: str
    shape: tuple[int, ...]
    initializer: Initializer
    trainable: bool
    regularizer: Regularizer | None


@dataclass
class Net:
    """The graph under construction, and what its layers declare on the way."""

    b: GraphBuilder
    training: bool
    variables: list[Variable] = field(default_factory=list)
    updates: list[tuple[Value, Value]] = field(default_factory=list)
    """Statistics with their new values, to be stored after a training step."""
    penalties: list[Value] = field(default_factory=list)
    """Scalars that are added to the loss: activity regularizers. Weights' regularizers stand in `variables`."""
    layer: str = ""
    trainable: bool = True
    """Of the layer that is being built."""
    streams: int = 0
    _weights: dict[str, Value] = field(default_factory=dict)

    def apply(self, name: str, layer: Layer, inputs: tuple[Value, ...], *, trainable: bool = True) -> Value:
        """Build one layer under its name. Raises ShapeMismatch."""
        self.layer, self.trainable, self.b.origin = name, trainable, name
        least, most = layer.arity
        if len(inputs) < least or (most is not None and len(inputs) > most):
            wanted = f"{least} input{'s' if least > 1 else ''}" if most == least else f"at least {least} inputs"
            raise ShapeMismatch(wanted, f"{len(inputs)} input{'s' if len(inputs) != 1 else ''}")
        output = layer.build(self, *inputs)
        activity: Regularizer | None = getattr(layer, "activity_regularizer", None)
        if activity is not None and self.training:
            self.penalties.append(activity.build_activity(self.b, output))
        self.b.origin = ""
        return output

    def weight(self, name: str, shape: tuple[int, ...], initializer: Initializer, *, trainable: bool = True,
               regularizer: Regularizer | None = None) -> Value:
        """The layer's variable of this name; declared at its first use."""
        full = f"{self.layer}/{name}"
        if full not in self._weights:
            if fault := initializer.fault(shape):
                expected, _, received = fault.removeprefix("expected ").partition(", received ")
                raise OptionMismatch(f"{name}_initializer", expected, received)
            self.variables.append(Variable(full, shape, initializer, trainable and self.trainable, regularizer))
            self._weights[full] = self.b.parameter(full, Type(shape))
        return self._weights[full]

    def update(self, weight: Value, new: Value) -> None:
        """Let a statistic take a new value after each training step."""
        self.updates.append((weight, new))

    def stream(self) -> int:
        """A random stream of the layer's own."""
        self.streams += 1
        return self.streams - 1

    def activate(self, value: Value, activation: Activation | None) -> Value:
        """The activation of a value; None leaves it as it is."""
        return value if activation is None else activation.build(self.b, value)


def type_name(entry: object) -> str:
    """The name under which an entry is registered."""
    return str(type(entry).type_name)  # type: ignore[attr-defined]


def text(shape: Shape) -> str:
    """A shape in an error message: (batch, 28, 28, 1)."""
    return f"({', '.join('batch' if isinstance(dim, Batch) else str(dim) for dim in shape)})"


def expect_image(x: Value) -> tuple[int, int, int]:
    """Height, width and channels of (batch, height, width, channels). Raises ShapeMismatch for any other rank."""
    if x.type.rank != 4:
        raise ShapeMismatch("rank 4 (batch, height, width, channels)", text(x.shape))
    height, width, channels = x.shape[1:]
    return height, width, channels
