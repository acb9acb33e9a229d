"""The tape: every op that a gradient may flow through leaves a record, held by what it computed.

No list holds the records: when the last tensor computed from a value is gone, so are its record and its memory. A
record looks at its outputs through weak references, hence none of them waits for the garbage collector.
"""

from __future__ import annotations

import itertools
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from engine import autodiff
from engine.eager import settings
from engine.eager.inspection import Ran, check_finite
from engine.eager.once import Array, prepared
from engine.eager.operators import Misuse
from engine.eager.settings import randomness
from engine.eager.tensor import Tensor, as_tensor, copied, number
from engine.graph.ir import GraphBuilder, Node, Value
from engine.kernels import state as run_state
from engine.ops.base import Op, ShapeMismatch, find
from engine.types import Type

LOOKED_THROUGH = ("softmax", "sigmoid")
"""Ops whose argument a loss takes instead, tape or no tape."""
STATE_TYPE = Type((run_state.FIELDS,), "int64")

_count = itertools.count()


class Record:
    """One application of an op. `sources` are the numbers its inputs had; `number` counts records."""

    __slots__ = ("__weakref__", "arrays", "attrs", "inputs", "number", "op", "origin", "outputs", "sources", "types")

    def __init__(self, op: Op, inputs: tuple[Tensor, ...], attrs: Mapping[str, Any], arrays: Sequence[Array],
                 types: Sequence[Type], origin: str) -> None:
        self.op, self.inputs, self.attrs, self.origin = op, inputs, attrs, origin
        self.sources = tuple(each.data for each in inputs)
        self.arrays, self.types = tuple(arrays), tuple(types)
        self.number = next(_count)
        self.outputs: list[weakref.ref[Tensor] | None] = [None] * len(arrays)

    def output(self, place: int) -> Tensor:
        """An output: the tensor that is about, or another one with its numbers."""
        reference = self.outputs[place]
        found = reference() if reference is not None else None
        if found is None:
            floats = self.types[place].dtype == "float32"
            found = Tensor(self.arrays[place], self.types[place], made_by=self.op.name, requires_grad=floats,
                           record=self, place=place)
            self.outputs[place] = weakref.ref(found)
        return found

    def node(self) -> Node:
        """As a node of a graph. Raises Misuse if a parameter has got other numbers since."""
        for value, source in zip(self.inputs, self.sources, strict=True):
            if value.data is not source:
                raise Misuse("backward", f"{value.name or 'a parameter'} as it was when {self.op.name} read it",
                             "other numbers since: call backward before the optimizer's step")
        outputs = tuple(self.output(place) for place in range(len(self.arrays)))
        return Node(self.op, self.inputs, self.attrs, outputs, self.origin or self.op.name)


class Eager(GraphBuilder):
    """A graph's builder whose nodes are computed as they are applied: what layers, losses and derivatives build with.

    `step` numbers the random draws of its ops; without one, each takes the next number.
    """

    symbolic = False

    def __init__(self, nodes: Sequence[Node] = (), step: int | None = None) -> None:
        super().__init__("eager")
        self.nodes = list(nodes)
        self._step = step

    def constant(self, data: Any, dtype: str = "float32") -> Tensor:
        array = np.asarray(data, dtype)
        return number(array.item(), dtype) if not array.ndim else Tensor(copied(array), Type(array.shape, dtype),
                                                                         role="constant")

    def apply(self, op: str | Op, *inputs: Value, **attrs: Any) -> tuple[Tensor, ...]:
        """Compute an op. Raises Misuse where it does not fit its inputs."""
        found = find(op) if isinstance(op, str) else op
        given = tuple(value if isinstance(value, Tensor) else _foreign(found, value) for value in inputs)
        if found.stateful and not any(each.role == "state" for each in given):
            given = (*given, self._state(given[0].shape[0] if given and given[0].shape else 1))
        return run(found, given, attrs, self.origin)

    def op(self, op: str | Op, *inputs: Value, **attrs: Any) -> Tensor:
        (output,) = self.apply(op, *inputs, **attrs)
        return output

    def call(self, op: str, *operands: Any, **attrs: Any) -> Any:
        """The op on tensors, arrays or numbers: its output, or a tuple of its outputs."""
        inputs = [as_tensor(each) for each in operands]
        outputs = self.apply(public(op), *inputs, **normal(op, inputs, attrs))
        return outputs[0] if len(outputs) == 1 else outputs

    def producer(self, value: Value) -> Node | None:
        record = value.record if isinstance(value, Tensor) else None
        return None if record is None else Node(record.op, record.inputs, record.attrs, (value,), record.origin)

    def _state(self, examples: int) -> Tensor:
        """The run's state of one random op: its seed, its step, and examples that are rows 0, 1, …"""
        state = np.zeros(run_state.FIELDS, np.int64)
        step = next(randomness.steps) if self._step is None else self._step
        order = np.arange(max(1, examples))
        state[run_state.SEED], state[run_state.STEP], state[run_state.EPOCH] = randomness.seed, step, step
        state[run_state.ORDER] = order.ctypes.data
        made = Tensor(copied(state), STATE_TYPE, role="state", name="state")
        made.held = order
        return made


EAGER = Eager()
"""The builder of everything that is not part of a layer."""


def _foreign(op: Op, value: Value) -> Tensor:
    raise Misuse(op.name, "a tensor", f"a value of a graph, {value.type}")


def public(name: str) -> Op:
    """The op of this name, unless it reads what only a run of a plan has."""
    op = find(name)
    if op.run_only:
        raise Misuse(name, "a plan to run in", "a call by hand: it reads a run's tables, records or learning rates")
    return op


def normal(op: str, inputs: Sequence[Value], attrs: dict[str, Any]) -> dict[str, Any]:
    """Attributes with axes counted from the front. Raises Misuse for one that is not there."""
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in attrs.items()}
    if "shape" in given and not isinstance(given["shape"], tuple):
        raise Misuse(op, "a shape of several sizes", repr(given["shape"]))
    rank = len(given["shape"]) if "shape" in given else inputs[0].type.rank if inputs else 0
    for name in ("axis", "axes"):
        if name not in given:
            continue
        value = given[name]
        axes = value if isinstance(value, tuple) else (value,)
        counted = [axis for axis in axes if isinstance(axis, int) and -rank <= axis < rank]
        if len(counted) < len(axes) or len({axis % rank for axis in counted}) < len(axes):
            raise Misuse(op, f"{name} from {-rank} to {rank - 1}, each once", value)
        given[name] = tuple(axis % rank for axis in axes) if isinstance(value, tuple) else value % rank
    return given


def run(op: Op, inputs: tuple[Tensor, ...], attrs: dict[str, Any], origin: str) -> tuple[Tensor, ...]:
    """Compute an op on tensors, and record it if a gradient is wanted of any of them."""
    now = settings.current()
    began = time.perf_counter() if now.trace is not None else 0.0
    with explained(op, inputs, attrs):
        ready = prepared(op, tuple(each.type for each in inputs), attrs, now.numerics)
        for place in ready.written:  # in memory of their own, as others may look at the old one
            inputs[place].take(copied(inputs[place].data))
        arrays = ready([each.data for each in inputs])
    if now.trace is not None:
        now.trace.add(Ran(op.name, tuple(each.type for each in inputs), ready.outputs, time.perf_counter() - began,
                          origin))
    if now.checking:
        check_finite(op.name, inputs, arrays, origin)
    wanted = now.taping and not op.effect and any(each.requires_grad for each in inputs)
    record = None
    if wanted:
        record = Record(op, inputs, attrs, arrays, ready.outputs, origin)
    elif op.name in LOOKED_THROUGH:
        record = Record(op, tuple(each.detach() for each in inputs), attrs, arrays, ready.outputs, origin)
    outputs = tuple(Tensor(array, type, made_by=op.name, requires_grad=wanted and type.dtype == "float32",
                           record=record, place=place)
                    for place, (array, type) in enumerate(zip(arrays, ready.outputs, strict=True)))
    if record is not None:
        record.outputs = [weakref.ref(output) for output in outputs]
    return outputs


@contextmanager
def explained(op: Op, inputs: Sequence[Value], attrs: Mapping[str, Any]) -> Iterator[None]:
    """Errors say which op was applied to what. Raises Misuse."""
    applied = f"{op.name}({', '.join(str(each.type) for each in inputs if each.role != 'state')})"
    try:
        yield
    except Misuse:
        raise
    except ShapeMismatch as mismatch:
        raise Misuse(applied, mismatch.expected, mismatch.received) from None
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise Misuse(applied, "inputs and attributes that the op takes", f"{dict(attrs)}: {error}") from error


def backward(loss: Tensor) -> None:
    """Add the gradients of a number to `grad` of every parameter that it was computed from."""
    records = _behind(loss)
    leaves = dict.fromkeys(value for record in records for value in record.inputs
                           if value.requires_grad and value.record is None)
    if not leaves and loss.requires_grad and loss.record is None:
        leaves = {loss: None}
    if not leaves:
        raise Misuse("backward", "a number computed from parameters, outside no_grad", repr(loss))
    with settings.no_grad():
        for leaf, gradient in zip(leaves, gradients(loss, list(leaves)), strict=True):
            leaf.grad = gradient if leaf.grad is None else EAGER.op("add", leaf.grad, gradient)


def gradients(loss: Tensor, wanted: Sequence[Tensor], *, again: bool = False) -> list[Tensor]:
    """d loss / d value for each wanted value, by the ops' derivatives in the order of a graph's.

    With `again` the gradients are on the tape too, so that there can be gradients of them. Zeros for a value that the
    loss does not depend on. Raises Misuse unless the loss is one number.
    """
    if loss.shape != ():
        raise Misuse("backward", "a loss of one number, shape ()", loss.type)
    b = Eager([record.node() for record in _behind(loss)])
    with settings.using(taping=again):
        try:
            return autodiff.gradients(b, loss, wanted)  # type: ignore[return-value]
        except NotImplementedError as missing:
            raise Misuse("gradients", "ops with derivatives", missing) from None


def _behind(loss: Tensor) -> list[Record]:
    """The records of all that gradients of this value flow through, in the order in which they were made."""
    found: dict[int, Record] = {}
    waiting = [loss]
    while waiting:
        value = waiting.pop()
        record = value.record
        if record is not None and value.requires_grad and record.number not in found:
            found[record.number] = record
            waiting += record.inputs
    return [found[at] for at in sorted(found)]
