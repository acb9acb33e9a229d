"""What layers that draw random numbers share."""

from __future__ import annotations

from typing import Any

from engine.graph.ir import Value
from engine.layers.base import Net, OptionMismatch, text
from engine.options import integer, optional, sequence
from engine.types import Shape

STREAMS = 1 << 24
"""How many streams a use of `engine.random` has."""
SPREAD = 40_503
"""Odd: different seeds give different streams."""

seed_option = optional(integer(minimum=-(2**31)))
noise_shape_option = optional(sequence(optional(integer(minimum=1)), 1, 8))


def stream(net: Net, seed: int | None) -> int:
    """The layer's stream of random numbers: of its own, and another one for another `seed`.

    The job's seed decides as well: two jobs draw the same only if both seeds are the same.
    """
    own = net.stream()
    return own if seed is None else (own + SPREAD * (seed + 1)) % STREAMS


def noise_shape(x: Value, written: tuple[int | None, ...] | None) -> Shape:
    """The shape of the drawn values: the input's where null is written, else 1. Raises OptionMismatch."""
    if written is None:
        return x.shape
    fits = len(written) == x.type.rank and all(
        size in (None, 1, dim) for size, dim in zip(written, x.shape, strict=True))
    if not fits:
        raise OptionMismatch("noise_shape", f"null or 1 for each dimension of {text(x.shape)}", list(written))
    shape: Any = (dim if size is None else size for size, dim in zip(written, x.shape, strict=True))
    return tuple(shape)
