"""A kernel request: what an op asks of the compute kernels, as pure data.

The op says which family, in which variant, over which values. It knows nothing of tiles, lanes or threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.graph.ir import Value
from engine.lowering import chunks, select, winograd
from engine.types import Batch, Dim, Shape, Type


@dataclass(frozen=True)
class KernelRequest:
    """One descriptor of the plan.

    `family` names a module of `engine/kernels/`, `function` one of its compute kernels. `attrs` is plain data. Scratch
    values (role `scratch`) live from the request that writes them to the last one that reads them.
    """

    family: str
    function: str
    reads: tuple[Value, ...]
    writes: tuple[Value, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)


def scratch(shape: Shape, dtype: str = "float32") -> Value:
    """A value that only the kernels of one node see."""
    return Value(Type(shape, dtype), "scratch")


def partial_scratch(*shape: Dim, terms: Dim = chunks.PARTS, outputs: int = 1) -> Value:
    """For the parts that a sum over `terms` is cut into, each of this shape. `outputs` is how many sums there are.

    Where it is not said, a part costs so little that there is room for all.
    """
    return scratch((chunks.parts(terms, outputs), *shape))


def panels_scratch(k: int | Batch, n: int | Batch, *, needed: bool) -> tuple[Value, ...]:
    """For a product's right operand (k, n), copied into panels; none where that never pays and is not `needed`."""
    if not needed and not select.panels_possible(k, n):
        return ()
    if isinstance(n, Batch):
        return (scratch((k, n)),)
    return (scratch((-(-n // select.WIDEST_PANEL), k, select.WIDEST_PANEL)),)


def winograd_scratch(tile: int, channels: int, filters: int) -> tuple[Value, Value]:
    """For Winograd's convolution: the transformed kernel, and slots for blocks of transformed tiles."""
    slots = scratch((winograd.SLOTS, winograd.slot_floats(winograd.CONVOLUTION, tile, channels, filters)))
    return scratch(((tile + 2) ** 2, channels, filters)), slots


def winograd_gradient_scratch(tile: int, channels: int, filters: int) -> tuple[Value, Value]:
    """For a kernel's gradient by Winograd's algorithm: every part's sums, and its slot."""
    sums = scratch((chunks.PARTS, (tile + 2) ** 2, channels, filters))
    return sums, scratch((chunks.PARTS, winograd.slot_floats(winograd.GRADIENT, tile, channels, filters)))
