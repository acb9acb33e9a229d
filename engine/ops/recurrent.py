"""Recurrent layers over whole sequences: what the state adds at each step, the input's share being known for all steps.

The states stand in one array for all steps, (batch, steps + 1, units), in the order of the sequence: the initial state
in front, or at the end if the sequence is read `backwards`. Where a mask is 0 the states stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.graph.ir import GraphBuilder, Node
from engine.lowering.request import KernelRequest, scratch
from engine.ops import numpy_math
from engine.ops.base import Gradients, Op, Sample, ShapeMismatch, expect_rank, op
from engine.recurrence import RECURRENCES, Recurrence
from engine.types import Batch, Type, size

WIDEST, PANEL = 16, 64
"""Lanes of the widest vectors, and columns of the widest panel: what scratch is made for."""


def _samples(*, gradient: bool) -> tuple[Sample, ...]:
    found = []
    for cell, batch, steps, units, more in (
            ("simple_rnn", 5, 4, 3, {}), ("simple_rnn", 9, 3, 18, {"activation": "relu", "initial": True}),
            ("lstm", 5, 4, 3, {}), ("lstm", 6, 3, 19, {"masked": True, "initial": True}), ("lstm", 37, 3, 33, {}),
            ("lstm", 1, 3, 70, {"backwards": True, "activation": "linear", "gate": "tanh"}),
            ("gru", 5, 4, 3, {"backwards": True, "masked": True}), ("gru", 7, 3, 20, {"initial": True}),
            ("gru", 3, 1, 1, {}), ("lstm", 34, 2, 16, {"masked": True, "backwards": True})):
        attrs: dict[str, Any] = {"cell": cell, **more}
        like = RECURRENCES[cell]
        states, wide, saved = ((batch, steps + 1, units), (batch, steps, like.gates * units),
                               (batch, steps, like.saved * units))
        kernel = (units, like.gates * units)
        mask = ((batch, steps),) if attrs.get("masked") else ()
        if gradient:
            attrs["carry"] = like.states == 2
            shapes: tuple[tuple[int, ...], ...] = (
                *(states,) * like.states, kernel, *(states,) * like.states, saved, *mask)
        else:
            initial = ((batch, units),) * (like.states if attrs.get("initial") else 0)
            shapes = (wide, kernel, *(((like.gates * units,),) if like.apart else ()), *initial, *mask)
        last = len(shapes) - 1
        found.append(Sample(shapes, attrs, integers={last: 2} if mask else {},
                            differentiable=() if gradient else tuple(range(len(shapes) - len(mask)))))
    return tuple(found)


@op("recurrent")
class Recurrent(Op):
    """x (batch, steps, gates units), kernel (units, gates units), a GRU's recurrent bias, initial states if `initial`
    (else 0), a mask (batch, steps) if `masked` -> each state at all steps, and what the gradient needs."""

    samples = _samples(gradient=False)

    def infer(self, *types: Type, cell: str, initial: bool = False, masked: bool = False,
              **attrs: Any) -> tuple[Type, ...]:
        like, x, kernel = RECURRENCES[cell], types[0], types[1]
        expect_rank(x, 3, "(batch, steps, features)")
        batch, steps, width = x.shape
        units: Any = kernel.shape[0]
        if kernel.shape != (units, like.gates * units) or width != like.gates * units:
            raise ShapeMismatch(f"a kernel (units, {like.gates} units) for {x}", str(kernel))
        expected = [(like.gates * units,)] * like.apart + [(batch, units)] * (like.states if initial else 0)
        expected += [(batch, steps)] * masked
        received = [type.shape for type in types[2:]]
        if received != expected:
            raise ShapeMismatch(f"{expected} besides x and the kernel", received)
        if isinstance(steps, Batch):
            raise ShapeMismatch("a known number of steps", str(x))
        states = Type((batch, steps + 1, units), x.dtype)
        return (*(states,) * like.states, Type((batch, steps, like.saved * units), x.dtype))

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        attrs = node.attrs
        like, kernel = RECURRENCES[attrs["cell"]], node.inputs[1]
        *states, saved = node.outputs
        assert grads[-1] is None
        first = b.op("scale", states[0], factor=0.0) if grads[0] is None else grads[0]
        carried = grads[1:like.states] if grads[like.states - 1] is not None and like.states > 1 else ()
        mask = node.inputs[-1:] if attrs.get("masked") else ()
        given = [value for value in (first, *carried) if value is not None]
        found = b.apply("recurrent_grad", *given, kernel, *states, saved, *mask, **attrs, carry=bool(carried))
        dx, rest = found[0], found[1:]
        da, initial = (rest[0], rest[1:]) if like.apart else (dx, rest)
        batch, steps, width = dx.shape
        start = 1 if attrs.get("backwards") else 0
        before = b.op("slice", states[0], axis=1, start=start, stop=start + steps)
        rows = Batch(batch.factor * steps) if isinstance(batch, Batch) else batch * steps
        d_kernel = b.op("matmul", b.op("reshape", before, shape=(rows, kernel.shape[0])),
                        b.op("reshape", da, shape=(rows, width)), transpose_a=True)
        return (dx, d_kernel, *([b.op("reduce_sum", da, axes=(0, 1))] if like.apart else []),
                *(initial if attrs.get("initial") else ()), *(None for _ in mask))

    def reference(self, *arrays: np.ndarray, cell: str, activation: str = "tanh", gate: str = "sigmoid",
                  backwards: bool = False, initial: bool = False, masked: bool = False) -> tuple[np.ndarray, ...]:
        like, (x, kernel) = RECURRENCES[cell], arrays[:2]
        batch, steps, _ = x.shape
        bias = arrays[2] if like.apart else np.zeros(kernel.shape[1], x.dtype)
        states = [np.zeros((batch, steps + 1, len(kernel)), x.dtype) for _ in range(like.states)]
        saved = np.zeros((batch, steps, like.saved * len(kernel)), x.dtype)
        for place, state in enumerate(states):
            if initial:
                state[:, -1 if backwards else 0] = arrays[2 + like.apart + place]
        for step, before, after in _order(steps, backwards):
            shares = np.split(x[:, step], like.gates, 1)
            inner = np.split(states[0][:, before] @ kernel + bias, like.gates, 1)
            old = [state[:, before] for state in states]
            new, kept = like.forward(numpy_math, activation, gate, shares, inner, old)
            saved[:, step] = np.concatenate(kept, 1)
            keep = arrays[-1][:, step, None] > 0 if masked else True
            for state, value, former in zip(states, new, old, strict=True):
                state[:, after] = np.where(keep, value, former)
        return (*states, saved)

    def lower(self, node: Node) -> list[KernelRequest]:
        units, width = node.inputs[1].shape
        panels = scratch((-(-units // WIDEST) * WIDEST * width,))
        return [KernelRequest("recurrent", "forward", node.inputs, (*node.outputs, panels), node.attrs)]

    def flops(self, node: Node) -> int:
        return _flops(node, node.inputs[1].shape)


@op("recurrent_grad")
class RecurrentGrad(Op):
    """Gradients of the states at all steps (of the second ones if `carry`), the kernel, the states, what was saved, and
    the mask -> gradients of x, of the state's share if that differs, and of each initial state."""

    samples = _samples(gradient=True)

    def infer(self, *types: Type, cell: str, carry: bool, **attrs: Any) -> tuple[Type, ...]:
        like, states, saved = RECURRENCES[cell], types[0], types[2 + carry + RECURRENCES[cell].states]
        batch, steps, _ = saved.shape
        units: Any = states.shape[2]
        every = (batch, steps + 1, units)  # type: ignore[operator]
        expected: list[Any] = [every] * (1 + carry) + [(units, like.gates * units)] + [every] * like.states
        expected += [(batch, steps, like.saved * units), *[(batch, steps)] * bool(attrs.get("masked"))]
        if (received := [type.shape for type in types]) != expected:
            raise ShapeMismatch(str(expected), received)
        wide = Type((batch, steps, like.gates * units), states.dtype)
        return (*(wide,) * (1 + like.apart), *(Type((batch, units), states.dtype),) * like.states)

    def reference(self, *arrays: np.ndarray, cell: str, carry: bool, activation: str = "tanh", gate: str = "sigmoid",
                  backwards: bool = False, masked: bool = False, initial: bool = False) -> tuple[np.ndarray, ...]:
        like = RECURRENCES[cell]
        given, (kernel, *states) = arrays[:1 + carry], arrays[1 + carry:2 + carry + like.states]
        saved = arrays[2 + carry + like.states]
        batch, steps, units = len(saved), saved.shape[1], len(kernel)
        wide = [np.zeros((batch, steps, like.gates * units), saved.dtype) for _ in range(1 + like.apart)]
        grads = [np.zeros((batch, units), saved.dtype) for _ in states]
        for step, before, after in reversed(_order(steps, backwards)):
            grads = [grad + given[place][:, after] if place < len(given) else grad for place, grad in enumerate(grads)]
            dx, da, left = like.backward(numpy_math, activation, gate, np.split(saved[:, step], like.saved, 1),
                                         [state[:, before] for state in states], grads)
            keep = arrays[-1][:, step, None] > 0 if masked else np.ones((batch, 1), bool)
            for target, found in zip(wide, (dx, da), strict=False):
                target[:, step] = np.where(keep, np.concatenate(found, 1), 0)
            grads = [np.where(keep, value, grad) for value, grad in zip(left, grads, strict=True)]
            grads[0] = grads[0] + wide[-1][:, step] @ kernel.T
        start = steps if backwards else 0
        grads = [grad + given[place][:, start] if place < len(given) else grad for place, grad in enumerate(grads)]
        return (*wide, *(grad.astype(saved.dtype) for grad in grads))

    def lower(self, node: Node) -> list[KernelRequest]:
        units, width = _kernel(node.inputs, node.attrs).shape
        panels = scratch(((units + PANEL) * width,))
        return [KernelRequest("recurrent", "backward", node.inputs, (*node.outputs, panels), node.attrs)]

    def flops(self, node: Node) -> int:
        return _flops(node, _kernel(node.inputs, node.attrs).shape)


def _kernel(inputs: Any, attrs: Mapping[str, Any]) -> Any:
    return inputs[2 if attrs["carry"] else 1]


def _flops(node: Node, kernel: tuple[int, ...]) -> int:
    steps = node.outputs[-1].shape[1] if node.op.name == "recurrent" else node.outputs[0].shape[1]
    return int(2 * size(kernel, 1) * steps)


def _order(steps: int, backwards: bool) -> list[tuple[int, int, int]]:
    """Steps as they are taken: place in the sequence, and in the states' array before and after."""
    order = [(step, step, step + 1) for step in range(steps)]
    return [(step, after, before) for step, before, after in reversed(order)] if backwards else order


def recurrence(attrs: Mapping[str, Any]) -> Recurrence:
    """The cell that a node's attributes name."""
    return RECURRENCES[attrs["cell"]]
