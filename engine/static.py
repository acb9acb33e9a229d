"""Graphs by hand: a function is traced into a graph once, and a session runs any part of it.

    graph = static.trace(model, x=static.input((None, 4)))
    with static.Session(graph) as session:
        y = session.run({"x": x}, fetch="output")

The function may be one that runs on tensors as well: operators, `eager`'s functions, layers and losses take symbols,
and a graph reads the weights that the layers have at the moment of a run. See docs/eager.md.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import autodiff
from engine.eager.operators import Misuse, Operators
from engine.eager.tape import explained, normal, public
from engine.eager.tensor import Tensor, as_tensor, copied, parameter
from engine.graph.ir import Graph, GraphBuilder, Value, rebuild
from engine.graph.text import names, print_graph
from engine.kernels import state as run_state
from engine.lowering.select import Numerics
from engine.ops.base import Op
from engine.types import Batch, Type

if TYPE_CHECKING:
    from engine.runtime.session import Session as Bound

Array = np.ndarray[Any, Any]
PLANS = 32
"""Combinations of fetches and feeds that a session keeps compiled."""


def input(shape: Sequence[int | None], dtype: str = "float32") -> Type:
    """The type of what is fed: None in front stands for any number of examples."""
    if None in shape[1:] or any(dim is not None and dim < 0 for dim in shape):
        raise Misuse("input", "sizes of at least 0, None only in front", tuple(shape))
    return Type(tuple(Batch() if dim is None else dim for dim in shape), dtype)


class Symbol(Operators):
    """A value of a graph that is being traced: it has a type, and no numbers yet."""

    mask: Any

    def __init__(self, builder: Tracer, type: Type, role: str, name: str = "", data: Array | None = None) -> None:
        self.__dict__.update(type=type, role=role, name=name, data=data, builder=builder, mask=None)

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "mask":
            raise AttributeError(f"{name} of a symbol cannot be set")
        self.__dict__[name] = value

    @property
    def maker(self) -> Tracer:
        """The graph's builder."""
        builder: Tracer = self.__dict__["builder"]
        return builder

    def __bool__(self) -> bool:
        raise Misuse("if", "a tensor: a graph's values have no numbers while it is traced; `where` chooses in a graph",
                     repr(self))

    __float__ = __int__ = __bool__

    def __repr__(self) -> str:
        return f"Symbol({self.name or self.role} {self.type})"


class Tracer(GraphBuilder):
    """Collects the nodes of a traced function; weights are declared where they are first read."""

    symbolic = True

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.updates: list[tuple[Value, Value]] = []
        """Statistics with their new values, stored after a run."""
        self.weights: dict[str, Tensor] = {}
        self._lifted: dict[Tensor, Symbol] = {}

    def computed(self, type: Type) -> Symbol:
        return Symbol(self, type, "node")

    def _declare(self, table: dict[str, Value], name: str, type: Type, role: str) -> Symbol:
        super()._declare(table, name, type, role)
        table[name] = found = Symbol(self, type, role, name)
        return found

    def constant(self, data: Any, dtype: str = "float32") -> Symbol:
        made = super().constant(data, dtype)
        return Symbol(self, made.type, "constant", data=made.data)

    def lift(self, value: Any) -> Any:
        """A value of this graph: a symbol as it is, a parameter as the graph's, anything else as a constant."""
        if isinstance(value, Symbol):
            if value.maker is not self:
                raise Misuse(self.name, "symbols of the graph that is being traced", f"one of {value.maker.name}")
            return value
        tensor = as_tensor(value)
        if tensor not in self._lifted:
            if tensor.role == "parameter":
                name = tensor.name or f"parameter_{len(self.weights)}"
                while name in self.parameters:
                    name += "_again"
                self.weights[name] = tensor
                made: Any = self.parameter(name, tensor.type)
            else:
                made = self.constant(tensor.data, tensor.dtype)
            made.mask = None if tensor.mask is None else self.lift(tensor.mask)
            self._lifted[tensor] = made
        return self._lifted[tensor]

    def apply(self, op: str | Op, *inputs: Value, **attrs: Any) -> tuple[Value, ...]:
        return super().apply(op, *(value if isinstance(value, Symbol) or value.role == "state" else self.lift(value)
                                   for value in inputs), **attrs)

    def call(self, op: str, *operands: Any, **attrs: Any) -> Any:
        """The op on symbols, tensors, arrays or numbers: its output, or a tuple of its outputs."""
        inputs = [self.lift(each) for each in operands]
        given = normal(op, inputs, attrs)
        with explained(public(op), inputs, given):
            outputs = self.apply(op, *inputs, **given)
        return outputs[0] if len(outputs) == 1 else outputs

    def gradients(self, loss: Value, wanted: Sequence[Any]) -> list[Value]:
        """d loss / d value for each of the symbols, or tensors that the graph reads."""
        if loss.shape != ():
            raise Misuse("gradients", "a loss of one number, shape ()", loss.type)
        try:
            return autodiff.gradients(self, loss, [self.lift(value) for value in wanted])
        except NotImplementedError as missing:
            raise Misuse("gradients", "ops with derivatives", missing) from None


@dataclass(frozen=True)
class Traced:
    """A graph, and the tensors whose numbers its parameters have. Print it to see its nodes and their names."""

    graph: Graph
    weights: Mapping[str, Tensor]

    def __str__(self) -> str:
        return print_graph(self.graph)


def trace(function: Callable[..., Any], /, *positional: Type, **inputs: Type) -> Traced:
    """Call a function with symbols of these types, and keep the graph of what it did.

    The function returns one value, whose name is `output`; several, named by their places; or a dict of values by
    name. Inputs are called as the function's parameters are. Raises Misuse.
    """
    name = getattr(function, "__name__", type(function).__name__)
    b = Tracer(name if name.isidentifier() else "traced")
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    own = [each.name for each in inspect.signature(function).parameters.values() if each.kind in places]
    more = [f"x{place}" for place in range(len(own), len(positional))]  # a layer takes any number
    named = dict(zip([*own, *more], positional, strict=False))
    for each, given in {**named, **inputs}.items():
        if not isinstance(given, Type):
            raise Misuse(f"trace, {each}", "a type, as static.input gives it", repr(given))
    symbols = {each: b.input(each, given) for each, given in {**named, **inputs}.items()}
    made = function(*(symbols[each] for each in named), **{each: symbols[each] for each in inputs})
    if isinstance(made, Mapping):
        outputs = dict(made)
    elif isinstance(made, (tuple, list)):
        outputs = {str(place): value for place, value in enumerate(made)}
    else:
        outputs = {"output": made}
    b.outputs.update({each: b.lift(value) for each, value in outputs.items()})
    for statistic, new in b.updates:
        b.apply("assign", statistic, new)
    return Traced(b.finish(), dict(b.weights))


class Session:
    """Runs parts of a graph: feed its inputs (or any value in place of what computes it), fetch any value.

    For a graph from `trace`, or built by hand with `GraphBuilder`; then `weights` are its parameters. Each set of
    fetches and feeds is a plan of its own, compiled when it is first asked for.
    """

    def __init__(self, graph: Traced | Graph, weights: Mapping[str, Any] | None = None, *, threads: int | None = None,
                 numerics: Numerics = "winograd4", seed: int = 0) -> None:
        self.graph = graph.graph if isinstance(graph, Traced) else graph
        given = {**(graph.weights if isinstance(graph, Traced) else {}), **(weights or {})}
        self.weights = {name: value if isinstance(value, Tensor) else parameter(value, name)
                        for name, value in given.items()}
        self._check_weights()
        self._threads, self._numerics, self._seed = threads, numerics, seed
        self._labels = names(self.graph)
        self._named = {text: value for value, text in self._labels.items()}
        self._store = {name: copied(tensor.data) for name, tensor in self.weights.items()}
        self._stored = {name: tensor.data for name, tensor in self.weights.items()}
        self._plans: dict[tuple[tuple[Value, ...], tuple[Value, ...]], Bound] = {}
        self._workers: Any = None
        self._lock = threading.Lock()
        self._order = np.arange(1)
        self.steps = 0
        """Runs done: what random ops number their draws by."""

    def _check_weights(self) -> None:
        for value in self.graph.parameters:
            found = self.weights.get(value.name)
            if found is None or found.type != value.type:
                raise Misuse(f"parameter {value.name}", str(value.type), "nothing" if found is None else found.type)

    def run(self, feeds: Mapping[Any, Any] | None = None, fetch: Any = "output") -> Any:
        """The arrays of what is fetched: one for a name or a value, a list for a sequence of them.

        Names are those of inputs, outputs and parameters, and of the printed graph (`%3`). Raises Misuse, which says
        what was expected and received.
        """
        several = isinstance(fetch, (list, tuple))
        outputs = {**self._named, **self.graph.outputs}
        wanted = tuple(self._find(each, "fetch", outputs) for each in (fetch if several else [fetch]))
        fed = {self._find(name, "feed", self._named): given for name, given in (feeds or {}).items()}
        with self._lock:
            found = self._run(wanted, fed)
        return found if several else found[0]

    def _find(self, which: Any, what: str, named: Mapping[str, Value]) -> Value:
        found = named.get(which) if isinstance(which, str) else which
        if not isinstance(found, Value) or found not in self._labels:
            own = self.graph.outputs if what == "fetch" else [value.name for value in self.graph.inputs]
            known = ", ".join(own)
            raise Misuse(what, f"a value of the graph or its name: {known}, %0, …", repr(which))
        return found

    def _run(self, wanted: tuple[Value, ...], fed: Mapping[Value, Any]) -> list[Array]:
        arrays = {value: self._array(value, given) for value, given in fed.items()}
        batch = self._batch(arrays)
        bound = self._bound(wanted, tuple(sorted(fed, key=lambda value: self._label(value))), batch)
        for value, array in arrays.items():
            name = self._label(value)
            if name in bound.feeds:
                bound.feeds[name].reshape(-1)[: array.size] = array.reshape(-1)
        for name, tensor in self.weights.items():
            if tensor.data is not self._stored[name]:
                self._store[name][...] = tensor.data
                self._stored[name] = tensor.data
        if self._order.size < batch:
            self._order = np.arange(batch)
        bound.state[run_state.ORDER] = self._order.ctypes.data
        bound.state[[run_state.STEP, run_state.EPOCH]] = self.steps
        bound.state[run_state.CURSOR] = 0
        bound.run(batch)
        self.steps += 1
        for value in dict.fromkeys(value for node in self.graph.nodes for value in node.op.written(node)):
            self._stored[value.name] = copied(self._store[value.name])
            self.weights[value.name].take(self._stored[value.name])
        return [bound.fetch(str(place), batch) for place in range(len(wanted))]

    def _label(self, value: Value) -> str:
        return value.name if value.role == "input" else f"fed {self._labels[value]}"

    def _array(self, value: Value, given: Any) -> Array:
        array = as_tensor(given).data
        shape = tuple("any" if isinstance(dim, Batch) else dim for dim in value.shape)
        fits = len(shape) == array.ndim and all(
            dim % expected.factor == 0 if isinstance(expected, Batch) else dim == expected
            for dim, expected in zip(array.shape, value.shape, strict=False))
        if not fits or str(array.dtype) != value.dtype:
            expected = f"{value.dtype} of shape ({', '.join(map(str, shape))})"
            raise Misuse(f"feed {self._label(value)}", expected, f"{array.dtype} of shape {array.shape}")
        return array

    def _batch(self, arrays: Mapping[Value, Array]) -> int:
        counts = {self._label(value): array.shape[0] // value.shape[0].factor for value, array in arrays.items()
                  if value.shape and isinstance(value.shape[0], Batch)}
        if len(set(counts.values())) > 1:
            raise Misuse("feeds", "the same number of examples in all", counts)
        batch = next(iter(counts.values()), 1)
        if batch < 1:
            raise Misuse("feeds", "at least one example", counts)
        return batch

    def _bound(self, wanted: tuple[Value, ...], fed: tuple[Value, ...], batch: int) -> Bound:
        from engine.lowering.plan import compile_plan
        from engine.runtime.cores import available_cores
        from engine.runtime.session import Session as Bound
        from engine.runtime.threads import Workers

        found = self._plans.get((wanted, fed))
        if found is None or found.plan.batch < batch:
            graph = self._part(wanted, fed)
            if self._workers is None:
                self._workers = Workers(self._threads or available_cores())
            plan = compile_plan(graph, batch, numerics=self._numerics)
            found = Bound(plan, self._store, {}, self._workers, seed=self._seed)
            if len(self._plans) >= PLANS:
                self._plans.pop(next(iter(self._plans)))
            self._plans[(wanted, fed)] = found
        return found

    def _part(self, wanted: tuple[Value, ...], fed: tuple[Value, ...]) -> Graph:
        """The nodes that the fetches need and that feeds do not replace; those that write are always needed."""
        instead = {value: Value(value.type, "input", self._label(value)) for value in fed if value.role != "input"}
        needed, kept = set(wanted), []
        for node in reversed(self.graph.nodes):
            computed = any(output in needed and output not in instead for output in node.outputs)
            if computed or node.op.effect:
                kept.append(node)
                needed.update(node.inputs)
        missing = [value.name for value in self.graph.inputs if value in needed and value not in fed]
        if missing:
            received = ", ".join(self._label(value) for value in fed) or "none"
            raise Misuse("feeds", f"{', '.join(missing)} too, which the fetches need", received)
        inputs = tuple(value for value in self.graph.inputs if value in needed)
        outputs = {str(place): value for place, value in enumerate(wanted)}
        part = Graph(self.graph.name, (*inputs, *instead.values()), self.graph.parameters, (), outputs)
        return rebuild(part, reversed(kept), instead)

    def close(self) -> None:
        """End the session's threads."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None
        self._plans.clear()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


__all__ = ["Session", "Symbol", "Traced", "input", "trace"]
