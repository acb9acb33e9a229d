"""What every cell is: one step of a recurrent layer, and the states that it carries from step to step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.activations.base import Activation
from engine.graph.ir import Value
from engine.layers.base import Net, type_name
from engine.recurrence import ACTIVATIONS
from engine.types import Batch, Shape

States = tuple[Value, ...]


@dataclass(frozen=True)
class Steps:
    """A sequence to go through: x (batch, steps, …), its mask (batch, steps) if it has one, the states to start from
    (None: zeros), and whether it is read from its end."""

    x: Value
    mask: Value | None = None
    initial: States | None = None
    backwards: bool = False


@dataclass(frozen=True, kw_only=True)
class Cell(ABC):
    """The options of a cell."""

    type_name: ClassVar[str]

    @property
    @abstractmethod
    def sizes(self) -> tuple[int, ...]:
        """The width of each state; the first one is what the cell puts out."""

    @property
    def width(self) -> int:
        """The width of what the cell puts out."""
        return self.sizes[0]

    def state_shapes(self, x: Value) -> tuple[Shape, ...]:
        """The shape of each state for a sequence x. Raises ShapeMismatch."""
        return tuple((x.shape[0], size) for size in self.sizes)

    @abstractmethod
    def run(self, net: Net, given: Steps, name: str) -> tuple[Value, States]:
        """What the cell puts out at all steps, (batch, steps, width) in the sequence's order, and its last states.

        A step that the mask leaves out keeps the states, and puts out the first of them. `name` is the part of the
        layer that the cell is. Raises ShapeMismatch.
        """

    def keras_options(self) -> dict[str, Any]:
        """The options as Keras's class takes them: those that differ from ours."""
        return {}

    def attribute_of(self, part: str) -> str:
        """The attribute, of the layer around it in Keras, that holds this cell or a part of it."""
        return "cell"


def name_of(entry: object) -> str:
    """What a cell or layer inside of another one is called: as Keras calls the first one of its class."""
    from engine.registry import snake_case

    return snake_case(type_name(entry))


def times(dim: Any, count: int) -> Any:
    """`count` times a number of examples."""
    return Batch(dim.factor * count) if isinstance(dim, Batch) else dim * count


def plain(activation: Activation | None) -> str | None:
    """The name of an activation that the quick step knows; None for others."""
    if activation is None:
        return "linear"
    name = type_name(activation)
    return name if name in ACTIVATIONS and activation == type(activation)() else None


def project(net: Net, x: Value, kernel: Value, bias: Value | None) -> Value:
    """x (…, features) by the kernel, for all steps at once."""
    *lead, features = x.shape
    rows = lead[0]
    for dim in lead[1:]:
        rows = times(rows, dim)
    flat = x if len(lead) == 1 else net.b.op("reshape", x, shape=(rows, features))
    y = net.b.op("matmul", flat, kernel)
    if bias is not None:
        y = net.b.op("add", y, bias)
    return y if len(lead) == 1 else net.b.op("reshape", y, shape=(*lead, kernel.shape[1]))


def split(net: Net, x: Value, parts: int) -> list[Value]:
    """x in equal parts along its last dimension."""
    axis, width = x.type.rank - 1, x.shape[-1] // parts
    return [net.b.op("slice", x, axis=axis, start=place * width, stop=(place + 1) * width) for place in range(parts)]


def at_once(net: Net, given: Steps, x: Value, kernel: Value, bias: Sequence[Value], *, cell: str, activation: str,
            gate: str = "sigmoid") -> tuple[Value, States]:
    """All steps by one op; x is the input's share."""
    b, steps = net.b, x.shape[1]
    optional = [*bias, *(given.initial or ()), *([given.mask] if given.mask is not None else [])]
    *states, _ = b.apply("recurrent", x, kernel, *optional, cell=cell, activation=activation, gate=gate,
                         backwards=given.backwards, initial=given.initial is not None, masked=given.mask is not None)
    first = 0 if given.backwards else 1
    outputs = b.op("slice", states[0], axis=1, start=first, stop=first + steps)
    last = 0 if given.backwards else steps
    ends = (b.op("slice", state, axis=1, start=last, stop=last + 1) for state in states)
    return outputs, tuple(b.op("reshape", end, shape=(end.shape[0], end.shape[2])) for end in ends)


def one_by_one(net: Net, given: Steps, states: States, step: Any) -> tuple[Value, States]:
    """All steps by ops of their own: `step(place, states)` gives the states after the step at `place`."""
    b, steps = net.b, given.x.shape[1]
    outputs: list[Value] = [states[0]] * steps
    for place in reversed(range(steps)) if given.backwards else range(steps):
        new = step(place, states)
        if given.mask is not None:
            keep = b.op("slice", given.mask, axis=1, start=place, stop=place + 1)
            keep = b.op("reshape", keep, shape=(keep.shape[0], *(1,) * (new[0].type.rank - 1)))
            new = tuple(b.op("where", keep, value, former) for value, former in zip(new, states, strict=True))
        states, outputs[place] = new, new[0]
    lines = [b.op("reshape", value, shape=(value.shape[0], 1, *value.shape[1:])) for value in outputs]
    return (b.op("concatenate", *lines, axis=1) if steps > 1 else lines[0]), states


def zeros(net: Net, x: Value, shape: tuple[int, ...]) -> Value:
    """Zeros for each example of x."""
    b = net.b
    flat = b.op("reshape", x, shape=(x.shape[0], _count(x)))
    one = b.op("slice", flat, axis=1, start=0, stop=1)
    nothing = b.op("where", b.op("greater", one, one), one, b.constant(0.0))
    full = (x.shape[0], *shape)
    ones = b.op("reshape", nothing, shape=(x.shape[0], *(1,) * len(shape)))
    return b.op("broadcast", ones, shape=full, axes=tuple(range(1, len(full))))


def _count(x: Value) -> int:
    count = 1
    for dim in x.shape[1:]:
        count *= dim
    return count
