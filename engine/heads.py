"""The two orders of values with heads: (batch, heads, steps, features), and with steps before heads."""

from __future__ import annotations

from typing import TypeVar

Length = TypeVar("Length")
Order = tuple[bool, bool, bool]
"""Whether a, b and the result of a product are (batch, steps, heads, features)."""
USUAL: Order = (False, False, False)


def exchanged(shape: tuple[Length, ...], steps_first: bool) -> tuple[Length, ...]:
    """(batch, heads, steps, features) of the shape in either order."""
    return (shape[0], shape[2], shape[1], shape[3]) if steps_first else shape
