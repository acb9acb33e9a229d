"""Do the tensors of a file fit a model? All differences are listed together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.errors import WeightsError, show
from engine.formats.base import Tensors

LISTED = 10
"""Differences of a kind that a message names; it counts the others."""

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Differences:
    """What stands between a model's variables and given tensors, each as `name (shape)`."""

    missing: tuple[str, ...]
    extra: tuple[str, ...]
    shapes: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra or self.shapes)

    def __str__(self) -> str:
        return listed({"missing tensors": self.missing, "tensors the model does not have": self.extra,
                       "shapes that differ": self.shapes})


def compare(expected: Shapes, given: Shapes) -> Differences:
    """The shapes of a model's variables beside those of tensors, by name."""
    return Differences(
        tuple(f"{name} {shape}" for name, shape in expected.items() if name not in given),
        tuple(f"{show(name)} {shape}" for name, shape in given.items() if name not in expected),
        tuple(f"{name}: expected {shape}, received {given[name]}" for name, shape in expected.items()
              if name in given and given[name] != shape))


def shapes_of(tensors: Tensors) -> dict[str, tuple[int, ...]]:
    """The tensors' shapes by name."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def match(expected: Mapping[str, tuple[tuple[int, ...], str]], tensors: Tensors) -> None:
    """`expected`: shape and dtype by name. WeightsError lists missing, extra and mis-shaped tensors and types."""
    found = compare({name: tuple(shape) for name, (shape, _) in expected.items()}, shapes_of(tensors))
    dtypes = [f"{name}: expected {dtype}, received {tensors[name].dtype}" for name, (shape, dtype) in expected.items()
              if name in tensors and tensors[name].shape == tuple(shape) and tensors[name].dtype != dtype]
    if found or dtypes:
        texts = [str(found)] * bool(found) + [listed({"types that differ": dtypes})] * bool(dtypes)
        raise WeightsError(f"the weights do not fit the model: {'; '.join(texts)}")


def listed(kinds: Mapping[str, Iterable[str]]) -> str:
    """The kinds of which there are some, each with its first differences."""
    return "; ".join(f"{kind}: {_first(names)}" for kind, found in kinds.items() if (names := list(found)))


def _first(names: list[str]) -> str:
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + rest
