"""A kernel request: what an op asks of the compute kernels, as pure data.

The op says which family, in which variant, over which values. It knows nothing of tiles, lanes or threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.graph.ir import Value
from engine.types import Shape, Type


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
