"""What every layer is, and what it sees while a graph is built.

A layer is its options alone. Its name, whether it is trainable and what it reads belong to its place in a model
(`engine.definition`). The image format is (batch, height, width, channels) throughout.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from engine.activations.base import Activation
from engine.constraints.base import Constraint
from engine.graph.ir import GraphBuilder, Value
from engine.initializers.base import Initializer
from engine.ops.base import ShapeMismatch
from engine.options import Reader, only
from engine.regularizers.base import Regularizer
from engine.types import Batch, Shape, Type

TORCH_NAMES = {"kernel": "weight", "gamma": "weight", "beta": "bias", "moving_mean": "running_mean",
               "moving_variance": "running_var", "embeddings": "weight", "alpha": "weight"}
"""What `torch.nn` calls variables that Keras calls otherwise."""

channels_last = only("channels_last", "channels_first is not supported")


class ArgumentMismatch(ShapeMismatch):
    """What a layer's call is given does not fit the layer."""


class OptionMismatch(ShapeMismatch):
    """An option does not fit the layer's inputs; `option` names it, and those that it is inside of: cell/units."""

    def __init__(self, option: str, expected: str, received: object) -> None:
        super().__init__(expected, received)
        self.option = option


@contextmanager
def within(option: str) -> Iterator[None]:
    """What does not fit inside is told as of the entry that `option` holds; nothing changes for none."""
    try:
        yield
    except OptionMismatch as mismatch:
        raise OptionMismatch(f"{option}/{mismatch.option}".lstrip("/"), mismatch.expected, mismatch.received) from None


@dataclass(frozen=True)
class LayerSample:
    """One use of a layer for the conformance tests: its options, its inputs' shapes without the batch, its output's."""

    options: Mapping[str, Any]
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]
    parameters: int = 0
    integers: int | None = None
    """Inputs are whole numbers from 0 to below this; None: normal numbers."""


@dataclass(frozen=True, kw_only=True)
class Layer(ABC):
    """The options of a layer."""

    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    """The least and the largest number of inputs; None: any."""
    positions: ClassVar[tuple[str, ...]] = ("inputs",)
    """Names of the call's parameters that take the inputs in their order, as in Keras; one may take several."""
    keywords: ClassVar[tuple[str, ...]] = ()
    """Names of further parameters that take one value each; `build` gets those that are given by name."""
    arguments: ClassVar[Mapping[str, Reader]] = {}
    """What else the call may be given: plain data by name, which `build` gets if it is given."""
    supports_masking: ClassVar[bool] = False
    """True if a mask of the inputs lives on in the output."""
    size_option: ClassVar[str | None] = None
    """The option that decides the size of the output's last dimension."""
    keras_class: ClassVar[str | None] = None
    """The name of Keras's class where it is public under another one."""
    parts: ClassVar[Mapping[str, str]] = {}
    """For variables called layer/part/variable: the attribute of Keras's layer that holds the part."""
    constants: ClassVar[tuple[str, ...]] = ()
    """Options that Keras takes in the call, one for every argument; "" for one that is always a value."""
    keras_module: ClassVar[str] = "keras.layers"
    """Where Keras has its class."""
    samples: ClassVar[tuple[LayerSample, ...]] = ()

    @abstractmethod
    def build(self, net: Net, *inputs: Value) -> Value | tuple[Value, ...]:
        """The layer's output in the graph, or its outputs.

        Raises ShapeMismatch or OptionMismatch where the inputs do not fit. A layer with `keywords` or `arguments` takes
        them as keyword arguments. Masks of the inputs are `net.mask(value)`.
        """

    def keras_attribute(self, part: str) -> str:
        """The attribute of Keras's layer that holds a part with variables of its own, by the part's name in theirs."""
        return self.parts.get(part, part)

    def keras_options(self) -> dict[str, Any]:
        """The options as Keras's class takes them: those that differ from ours."""
        return {}

    def torch_state(self, variables: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        """This layer's variables by the names and in the layouts of the equivalent `torch.nn` module.

        Kernels (…, in, out) become (out, in, …), which holds for dense layers and convolutions alike.
        """
        found = {}
        for name, array in variables.items():
            kernel = name.rpartition("/")[2] == "kernel" and array.ndim >= 2
            part, _, last = name.rpartition("/")
            moved = array.transpose(array.ndim - 1, array.ndim - 2, *range(array.ndim - 2)) if kernel else array
            found[f"{part}/{TORCH_NAMES.get(last, last)}" if part else TORCH_NAMES.get(last, last)] = moved
        return found

    def compute_mask(self, net: Net, *inputs: Value) -> Value | tuple[Value | None, ...] | None:
        """The output's mask (or each output's) from those of the inputs, as Keras: that of the first input.

        Only asked of layers that support masking. A mask is float32 of 0 and 1, (batch, …).
        """
        return net.mask(inputs[0])


@dataclass(frozen=True)
class Variable:
    """A weight or statistic of a layer: `name` is layer/variable. `constraint` holds after each update."""

    name: str
    shape: tuple[int, ...]
    initializer: Initializer
    trainable: bool
    regularizer: Regularizer | None
    constraint: Constraint | None = None
    layer: str = ""
    """The layer's name."""


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
    explicit_mask: Value | None = None
    """The mask that the call being built was given by name."""
    masks: dict[Value, Value] = field(default_factory=dict)
    """The mask beside a value: float32 of 0 and 1, (batch, …), 0 where the value is padding."""
    current: dict[str, Value] = field(default_factory=dict)
    """Weights that took another value when this step began, by name: see `begin`."""
    _weights: dict[str, Value] = field(default_factory=dict)
    _change: Callable[[str, Value], Value] | None = None
    _built: object = None
    """The layer, or the part of one, whose options are those of the weights."""
    _part: str = ""

    @contextmanager
    def part(self, name: str, entry: object) -> Iterator[None]:
        """Inside, what is built is a part of the layer: its variables are called layer/name/variable, its options
        those of `entry`."""
        outer = self._built, self._part
        self._built, self._part = entry, f"{self._part}{name}/"
        try:
            yield
        finally:
            self._built, self._part = outer

    def apply(self, name: str, layer: Layer, inputs: tuple[Value, ...], *, trainable: bool = True) -> Value:
        """Build one layer that has one output. Raises ShapeMismatch."""
        (output,) = self.call(name, layer, inputs, trainable=trainable)
        return output

    def call(self, name: str, layer: Layer, inputs: tuple[Value, ...], *, keywords: Mapping[str, Value] | None = None,
             arguments: Mapping[str, Any] | None = None, trainable: bool = True,
             owner: str | None = None) -> tuple[Value, ...]:
        """Build one call of a layer; its weights are those of `owner`, if another layer's. Raises ShapeMismatch."""
        self.layer, self.trainable, self.b.origin, self._built, self._part = owner or name, trainable, name, layer, ""
        least, most = layer.arity
        if len(inputs) < least or (most is not None and len(inputs) > most):
            wanted = (f"{least} input{'s' if least > 1 else ''}" if most == least else
                      f"at least {least} inputs" if most is None else f"{least} to {most} inputs")
            raise ShapeMismatch(wanted, f"{len(inputs)} input{'s' if len(inputs) != 1 else ''}")
        given = dict(keywords or {})
        explicit = self.explicit_mask = given.pop("mask", None)
        implicit = self.masks.get(inputs[0])
        if explicit is not None:
            self.masks[inputs[0]] = explicit
        built = layer.build(self, *inputs, **given, **(arguments or {}))
        outputs = built if isinstance(built, tuple) else (built,)
        self.conclude(layer, inputs, outputs)
        if explicit is not None and inputs[0] not in outputs:
            self.masks.pop(inputs[0])
            if implicit is not None:
                self.masks[inputs[0]] = implicit
        self.b.origin = ""
        return outputs

    def conclude(self, layer: Layer, inputs: tuple[Value, ...], outputs: tuple[Value, ...]) -> None:
        """What a layer's call leaves behind its outputs: masks, and what its activity regularizer adds to the loss."""
        if layer.supports_masking:
            found = layer.compute_mask(self, *inputs)
            for output, mask in zip(outputs, found if isinstance(found, tuple) else (found,), strict=False):
                if mask is not None:
                    self.masks.setdefault(output, mask)
        activity: Regularizer | None = getattr(layer, "activity_regularizer", None)
        if activity is not None and self.training:
            self.penalties += [activity.build_activity(self.b, output) for output in outputs]

    def mask(self, value: Value) -> Value | None:
        """The mask that travels with a value, if one does."""
        return self.masks.get(value)

    def weight(self, name: str, shape: tuple[int, ...], initializer: Initializer, *, trainable: bool = True,
               regularizer: Regularizer | None = None, options: str = "") -> Value:
        """The layer's variable of this name; declared at its first use.

        Its options are called name_initializer, name_constraint; `options` is another name in the place of its own.
        """
        full = f"{self.layer}/{self._part}{name}"
        if full not in self._weights:
            if fault := initializer.fault(shape):
                expected, _, received = fault.removeprefix("expected ").partition(", received ")
                raise OptionMismatch(f"{options or name}_initializer", expected, received)
            constraint = getattr(self._built, f"{options or name}_constraint", None)
            self._try(f"{options or name}_constraint", constraint, shape)
            self._try(f"{options or name}_regularizer", regularizer, shape)
            variable = Variable(full, shape, initializer, trainable and self.trainable, regularizer, constraint,
                                self.layer)
            self.variables.append(variable)
            self._weights[full] = self.declare(variable)
        return self._change(name, self._weights[full]) if self._change else self._weights[full]

    @contextmanager
    def changed(self, change: Callable[[str, Value], Value]) -> Iterator[None]:
        """Inside, a weight that is asked for is what `change` makes of its name and value.

        `change` itself sees the layer as it is here, outside of its parts.
        """
        here = self._change, self._built, self._part

        def changing(name: str, weight: Value) -> Value:
            there = self._change, self._built, self._part
            self._change, self._built, self._part = here
            try:
                return change(name, weight)
            finally:
                self._change, self._built, self._part = there

        self._change = changing
        try:
            yield
        finally:
            self._change = here[0]

    def begin(self, weight: Value, new: Value) -> Value:
        """Let a weight take a new value as the step begins: what is asked for from now on, penalised and updated."""
        name = str(weight.name)
        self.current[name] = self._weights[name] = new
        return new

    def now(self, name: str) -> Value:
        """A variable as it is in this step."""
        return self.current.get(name, self.b.parameters[name])

    def declare(self, variable: Variable) -> Value:
        """The value of a variable in the graph."""
        return self.b.parameter(variable.name, Type(variable.shape))

    @staticmethod
    def _try(option: str, entry: Constraint | Regularizer | None, shape: tuple[int, ...]) -> None:
        """Raise OptionMismatch if the entry does not take a weight of this shape."""
        if entry is not None:
            b = GraphBuilder("try")
            try:
                entry.build(b, b.parameter("weight", Type(shape)))
            except ShapeMismatch as mismatch:
                raise OptionMismatch(option, mismatch.expected, mismatch.received) from None

    def update(self, weight: Value, new: Value) -> None:
        """Let a statistic take a new value after each training step, instead of one that was to be taken before."""
        self.updates = [pair for pair in self.updates if pair[0] is not weight]
        self.updates.append((weight, new))

    def latest(self, weight: Value) -> Value:
        """What a statistic will be after this step so far: a layer's second call goes on where its first one ended."""
        return next((new for statistic, new in self.updates if statistic is weight), weight)

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
