"""Layers and losses on values: the classes that definitions name, built wherever they are called.

    dense = eager.layer("Dense", units=10, activation="relu")
    y = dense(x)

On tensors a call computes; on symbols of a traced graph it adds to the graph, with the same weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from engine.eager import settings
from engine.eager.operators import Misuse, Operators
from engine.eager.settings import randomness
from engine.eager.tape import Eager
from engine.eager.tensor import Tensor, as_tensor
from engine.graph.ir import GraphBuilder, Value
from engine.layers.base import Layer, Net, Variable
from engine.losses.base import Loss
from engine.ops.base import ShapeMismatch
from engine.options import entry, parse
from engine.registry import snake_case
from engine.types import Type


class BuiltLayer:
    """A layer with its weights, which are made by its first call from `eager.seed` and the order of layers.

    `weights` are all its variables by name; `parameters` are those that train.
    """

    def __init__(self, layer: Layer, name: str, *, trainable: bool = True) -> None:
        self.layer, self.name, self.trainable = layer, name, trainable
        self.weights: dict[str, Tensor] = {}
        self.variables: dict[str, Variable] = {}
        self._activity: list[Any] = []
        self._streams: list[int] = []
        self._calls = 0

    @property
    def parameters(self) -> list[Tensor]:
        """What an optimizer may change."""
        return [weight for weight in self.weights.values() if weight.requires_grad]

    @property
    def penalties(self) -> list[Any]:
        """Numbers that regularizers add to the loss: of weights as they are, of outputs as the last call left them."""
        weights = [variable.regularizer.build(Eager(), self.weights[name])
                   for name, variable in self.variables.items() if variable.regularizer is not None]
        return [*self._activity, *weights]

    def __call__(self, *inputs: Any, mask: Any = None, **more: Any) -> Any:
        """The layer's output, or a tuple of its outputs; `more` is what the layer's call takes besides.

        Raises Misuse where inputs do not fit.
        """
        builder = next((each.maker for each in inputs if isinstance(each, Operators) and each.maker.symbolic), None)
        net = _Net(self, builder)
        values = [net.lift(value) for value in inputs]
        keywords = {name: net.lift(more.pop(name)) for name in self.layer.keywords if more.get(name) is not None}
        if mask is not None:
            keywords["mask"] = net.lift(mask)
        net.masks.update({value: value.mask for value in values if value.mask is not None})
        with _named(f"{self.name} ({type(self.layer).__name__})"):
            outputs = net.call(self.name, self.layer, tuple(values), keywords=keywords, arguments=self._read(more),
                               trainable=self.trainable)
        for output in outputs:
            output.mask = net.masks.get(output)  # type: ignore[attr-defined]
        self._activity = list(net.penalties)
        net.store()
        self._calls += 1 if net.training else 0
        return outputs[0] if len(outputs) == 1 else outputs

    def _read(self, more: dict[str, Any]) -> dict[str, Any]:
        known = self.layer.arguments
        for name in more:
            if name not in known:
                raise Misuse(self.name, f"of {[*self.layer.keywords, *known]} by name", name)
        return {name: parse(known[name], value, f"/{name}") for name, value in more.items()}

    def stream(self, place: int) -> int:
        """The layer's stream of random numbers of this place, the same in every call."""
        while len(self._streams) <= place:
            self._streams.append(next(randomness.streams))
        return self._streams[place]

    @property
    def step(self) -> int:
        """The number of this call among those in training."""
        return self._calls

    def __repr__(self) -> str:
        return f"{self.name}: {self.layer}"


class _Net(Net):
    """What a layer sees while it is called."""

    def __init__(self, owner: BuiltLayer, builder: Any) -> None:
        b: GraphBuilder = Eager(step=owner.step) if builder is None else builder
        super().__init__(b, training=settings.current().training)
        self._owner, self._symbolic = owner, builder is not None
        self._weights = {name: self.lift(weight) for name, weight in owner.weights.items()}

    def lift(self, value: Any) -> Any:
        """A value of this builder."""
        return self.b.lift(value) if self._symbolic else as_tensor(value)  # type: ignore[attr-defined]

    def declare(self, variable: Variable) -> Value:
        from engine.variables import initial

        array = initial(variable, next(randomness.variables), randomness.seed)
        made = Tensor(array, Type(variable.shape), role="parameter", name=variable.name,
                      requires_grad=variable.trainable)
        made.held = variable
        self._owner.weights[variable.name], self._owner.variables[variable.name] = made, variable
        lifted: Value = self.lift(made)
        return lifted

    def stream(self) -> int:
        self.streams += 1
        return self._owner.stream(self.streams - 1)

    def begin(self, weight: Value, new: Value) -> Value:
        """Now; where a graph ends, if this is one. In it the new value stands for the weight, and has its gradient."""
        if self._symbolic:
            self.update(weight, new)
            nothing = self.b.op("subtract", weight, self.b.op("stop_gradient", weight))
            return super().begin(weight, self.b.op("add", new, nothing))
        assert isinstance(weight, Tensor) and isinstance(new, Tensor)
        weight.take(new.data)
        return weight

    def store(self) -> None:
        """Let statistics take their new values: now, or where the graph ends."""
        if self._symbolic:
            self.b.updates += self.updates  # type: ignore[attr-defined]
            return
        for statistic, new in self.updates:
            assert isinstance(statistic, Tensor) and isinstance(new, Tensor)
            statistic.take(new.data)


class BuiltLoss:
    """A loss as a function of target and output, in Keras's order."""

    def __init__(self, loss: Loss) -> None:
        self.loss = loss

    def __call__(self, target: Any, output: Any, sample_weight: Any = None, mask: Any = None) -> Any:
        """One number, (). The output's mask is taken unless another is given. Raises Misuse where shapes do not fit."""
        b: Any = output.maker if isinstance(output, Operators) else Eager()
        lift = b.lift if b.symbolic else as_tensor
        output = lift(output)
        weight = None if sample_weight is None else lift(sample_weight)
        found = output.mask if mask is None else lift(mask)
        with _named(type(self.loss).__name__):
            return self.loss.total(b, lift(target), output, weight, found)

    def __repr__(self) -> str:
        return repr(self.loss)


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Errors say in which layer or loss."""
    try:
        yield
    except Misuse as misuse:
        misuse.args = (f"{what}: {misuse.args[0]}",)
        raise
    except ShapeMismatch as mismatch:
        option = getattr(mismatch, "option", None)
        raise Misuse(f"{what}, {option}" if option else what, mismatch.expected, mismatch.received) from None


def read(kind: str, type: Any, options: dict[str, Any]) -> Any:
    """A registered entry by its name and options, or as it is. Raises DefinitionError with every fault."""
    if not isinstance(type, str):
        return type
    return parse(entry(kind), {"type": type, **options}, "")


def layer(type: str | Layer, *, name: str | None = None, trainable: bool = True, **options: Any) -> BuiltLayer:
    """A layer of the catalogue by its name and options: `layer("Dense", units=10)`.

    Raises DefinitionError for an unknown name or option.
    """
    made: Layer = read("layer", type, options)
    kind = snake_case(made.__class__.__name__)
    if name is None:
        count = randomness.names[kind]
        name = f"{kind}_{count}" if count else kind
    randomness.names[kind] += 1
    return BuiltLayer(made, name, trainable=trainable)


def loss(type: str | Loss, **options: Any) -> BuiltLoss:
    """A loss of the catalogue by its name and options. Raises DefinitionError for an unknown name or option."""
    return BuiltLoss(read("loss", type, options))


def parameters(*layers: BuiltLayer | Iterable[BuiltLayer]) -> list[Tensor]:
    """What trains in these layers, in their order, each once."""
    every = [each for given in layers for each in ([given] if isinstance(given, BuiltLayer) else given)]
    return list(dict.fromkeys(parameter for each in every for parameter in each.parameters))


