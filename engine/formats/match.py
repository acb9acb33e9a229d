"""Do the tensors of a file fit a model? All differences are listed together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.errors import WeightsError, show
from engine.formats.base import Tensors

LISTED = 10
"""Differences of a kind that a message names; it counts the others."""


def match(expected: Mapping[str, tuple[tuple[int, ...], str]], tensors: Tensors) -> None:
    """`expected`: shape and dtype by name. WeightsError lists missing, extra and mis-shaped tensors and types."""
    missing = [f"{name} {shape}" for name, (shape, _) in expected.items() if name not in tensors]
    extra = [f"{show(name)} {tensor.shape}" for name, tensor in tensors.items() if name not in expected]
    shapes, dtypes = [], []
    for name, (shape, dtype) in expected.items():
        if name in tensors and tensors[name].shape != tuple(shape):
            shapes.append(f"{name}: expected {tuple(shape)}, received {tensors[name].shape}")
        elif name in tensors and tensors[name].dtype != dtype:
            dtypes.append(f"{name}: expected {dtype}, received {tensors[name].dtype}")
    faults = [f"{what}: {_listed(found)}" for what, found in (
        ("missing tensors", missing), ("tensors the model does not have", extra), ("shapes that differ", shapes),
        ("types that differ", dtypes)) if found]
    if faults:
        raise WeightsError("the weights do not fit the model: " + "; ".join(faults))


def _listed(found: Iterable[str]) -> str:
    names = list(found)
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + rest
