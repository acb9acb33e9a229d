"""What every weights format does, and the limits that all of them share."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from engine.errors import WeightsError, show
from engine.formats.metadata import Metadata

Tensor = npt.NDArray[Any]
Tensors = Mapping[str, Tensor]

MAX_TENSORS = 100_000
MAX_RANK = 8
MAX_NAME = 500


BEHIND = {"vector_u": 1}
"""Variables in front of which Keras lists so many again that belong to a part of the layer: SpectralNormalization's
kernel."""


@dataclass(frozen=True)
class WeightsFile:
    """What a file holds. Tensors are read-only and may be memory-mapped; a foreign file has no metadata."""

    tensors: Tensors
    metadata: Metadata | None
    definition: Mapping[str, Any] | None = None
    """The model's definition in a foreign file that carries one."""
    numbered: bool = False
    """True where tensors are called layer/0, layer/1, … in the order in which the layer creates its variables."""

    def named(self, variables: Iterable[str]) -> Tensors:
        """The tensors by the names of a model's variables, which come in the order of creation.

        A tensor that no variable fits keeps its number, so that a comparison lists it.
        """
        if not self.numbered:
            return self.tensors
        counts: dict[str, int] = {}
        names = {}
        variables = list(variables)
        parts = renamed((number.rpartition("/")[0] for number in self.tensors),
                        (name.rpartition("/")[0] for name in variables))
        again: set[str] = set()
        for name in variables:
            owner, _, last = name.rpartition("/")
            again.update(f"{owner}/{number}" for number in range(BEHIND.get(last, 0)))
            counts[owner] = counts.get(owner, BEHIND.get(last, 0) - 1) + 1
            names[f"{owner}/{counts[owner]}"] = name
        found = {}
        for given, tensor in self.tensors.items():
            owner, _, place = given.rpartition("/")
            number = f"{parts.get(owner, owner)}/{place}"
            if number not in again:
                found[names.get(number, given)] = tensor
        return found


def renamed(given: Iterable[str], wanted: Iterable[str]) -> dict[str, str]:
    """What parts of layers are called here, by what a file calls them, where that differs in a number at the end.

    Keras numbers the layers that are inside of others among all that were made: time_distributed/dense_4. Here each
    counts anew. Only parts of the same layer with the same name but for the number are taken for each other, and only
    if there are as many.
    """
    found: dict[str, str] = {}
    theirs: dict[str, Any] = {}
    ours: dict[str, Any] = {}
    for tree, owners in ((theirs, given), (ours, wanted)):
        for owner in owners:
            at = tree
            for part in owner.split("/"):
                at = at.setdefault(part, {})

    def pair(one: dict[str, Any], other: dict[str, Any], path: str, own: str) -> None:
        left, right = ({kind: sorted((name for name in side if _kind(name) == kind), key=_number) for kind in map(
            _kind, side)} for side in (one, other))
        for kind, names in left.items():
            same = len(names) == len(right.get(kind, ())) and bool(path)
            for name, called in zip(names, right[kind] if same else names, strict=True):
                if called in other:
                    found[f"{path}{name}"] = f"{own}{called}"
                    pair(one[name], other[called], f"{path}{name}/", f"{own}{called}/")

    pair(theirs, ours, "", "")
    return found


def _kind(name: str) -> str:
    """A part's name without the number at its end."""
    kind, _, number = name.rpartition("_")
    return kind if kind and number.isdigit() else name


def _number(name: str) -> int:
    number = name.rpartition("_")[2]
    return int(number) if number.isdigit() and number != name else 0


class WeightsFormat(ABC):
    """A file format for named tensors and one JSON document."""

    extension: ClassVar[str]
    media_type: ClassVar[str]
    type_name: ClassVar[str]
    whole_model: ClassVar[bool] = False
    """True where a file is laid out by the model in its metadata, and holds that model's variables and no others."""

    def with_preprocessing(self) -> WeightsFormat:
        """The format with the preprocessing as a part of the model. Raises WeightsError where it cannot be."""
        raise WeightsError(f"preprocessing: expected the format onnx, received {self.type_name}")

    @abstractmethod
    def recognises(self, start: bytes) -> bool:
        """Does a file with these first 16 bytes claim to be of this format?"""

    @abstractmethod
    def read(self, path: Path) -> WeightsFile:
        """Everything in the file; WeightsError for anything that is not exactly as the format says."""

    @abstractmethod
    def write(self, path: Path, tensors: Tensors, metadata: Metadata) -> None:
        """Write the file whole or not at all. Equal content gives equal bytes."""


def check_name(name: object) -> str:
    """A tensor's name: `layer/variable`, relative, printable. It never becomes a path; refused all the same."""
    good = (isinstance(name, str) and 1 <= len(name) <= MAX_NAME and name.isprintable() and "\\" not in name
            and not any(part in ("", ".", "..") for part in name.split("/")) and not re.match(r"[A-Za-z]:/", name))
    if not isinstance(name, str) or not good:
        raise WeightsError(f"expected a tensor's name like 'dense/kernel', received {show(name, 120)}")
    return name


def little_endian(tensor: Tensor) -> Tensor:
    """The same values in C order and little-endian, copied only if needed; the rank stays as it is."""
    return np.asarray(tensor, tensor.dtype.newbyteorder("<"), order="C")
