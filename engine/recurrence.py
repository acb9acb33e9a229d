"""Cells of recurrent layers as scalar expressions: one step forward, and its gradients.

A cell has `gates` blocks of the width of its units: the input's share x of each is known for all steps beforehand, the
state's share a is computed step by step. `m` offers the functions, as for every scalar expression.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Numbers = Sequence[Any]


@dataclass(frozen=True)
class Recurrence:
    """A cell.

    `forward(m, activation, gate, x, a, states)` gives the states after the step and what the gradients need of it.
    `backward(m, activation, gate, saved, before, grads)` takes the states before the step and the gradients of those
    after it; it gives the gradients of x, of a, and of the states before as far as these are not read through a.
    """

    gates: int
    states: int
    saved: int
    apart: bool
    """Whether the gradients of x and of a differ; a then has a bias of its own."""
    forward: Callable[..., tuple[Numbers, Numbers]]
    backward: Callable[..., tuple[Numbers, Numbers, Numbers]]


def apply(m: Any, name: str, x: Any) -> Any:
    """An activation of those that have a `slope`."""
    if name == "relu":
        return m.maximum(x, 0.0)
    return x if name == "linear" else getattr(m, name)(x)


def slope(m: Any, name: str, y: Any) -> Any:
    """The derivative of an activation where its value is y."""
    if name == "tanh":
        return 1.0 - y * y
    if name == "sigmoid":
        return y * (1.0 - y)
    return m.where(y > 0.0, 1.0, 0.0) if name == "relu" else m.where(y == y, 1.0, y)


ACTIVATIONS = ("tanh", "sigmoid", "relu", "linear")
"""What `apply` and `slope` know."""


def _simple(m: Any, activation: str, gate: str, x: Numbers, a: Numbers, states: Numbers) -> tuple[Numbers, Numbers]:
    """h = activation(x + a)."""
    h = apply(m, activation, x[0] + a[0])
    return [h], [h]


def _simple_grad(m: Any, activation: str, gate: str, saved: Numbers, before: Numbers,
                 grads: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    d = [grads[0] * slope(m, activation, saved[0])]
    return d, d, [0.0]


def _lstm(m: Any, activation: str, gate: str, x: Numbers, a: Numbers, states: Numbers) -> tuple[Numbers, Numbers]:
    """Hochreiter and Schmidhuber (1997) with a forget gate (Gers et al., 2000); gates in the order i, f, g, o."""
    i, f, o = (apply(m, gate, x[place] + a[place]) for place in (0, 1, 3))
    g = apply(m, activation, x[2] + a[2])
    c = f * states[1] + i * g
    t = apply(m, activation, c)
    return [o * t, c], [i, f, g, o, t]


def _lstm_grad(m: Any, activation: str, gate: str, saved: Numbers, before: Numbers,
               grads: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    (i, f, g, o, t), (dh, dc) = saved, grads
    dc = dc + dh * o * slope(m, activation, t)
    d = [dc * g * slope(m, gate, i), dc * before[1] * slope(m, gate, f), dc * i * slope(m, activation, g),
         dh * t * slope(m, gate, o)]
    return d, d, [0.0, dc * f]


def _gru(m: Any, activation: str, gate: str, x: Numbers, a: Numbers, states: Numbers) -> tuple[Numbers, Numbers]:
    """Cho et al. (2014) with the reset gate applied after the product (cuDNN's form); gates z, r, h."""
    z, r = (apply(m, gate, x[place] + a[place]) for place in (0, 1))
    new = apply(m, activation, x[2] + r * a[2])
    return [z * states[0] + (1.0 - z) * new], [z, r, new, a[2]]


def _gru_grad(m: Any, activation: str, gate: str, saved: Numbers, before: Numbers,
              grads: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    (z, r, new, inner), (dh,) = saved, grads
    d_new = dh * (1.0 - z) * slope(m, activation, new)
    d_z, d_r = dh * (before[0] - new) * slope(m, gate, z), d_new * inner * slope(m, gate, r)
    return [d_z, d_r, d_new], [d_z, d_r, d_new * r], [dh * z]


RECURRENCES = {"simple_rnn": Recurrence(1, 1, 1, False, _simple, _simple_grad),
               "lstm": Recurrence(4, 2, 5, False, _lstm, _lstm_grad),
               "gru": Recurrence(3, 1, 4, True, _gru, _gru_grad)}
