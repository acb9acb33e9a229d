"""Looking at eager ops as they run: a list of them with their times, and a check that names the first NaN."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.eager.settings import using
from engine.eager.tensor import Tensor
from engine.errors import NumericsError
from engine.types import Type


@dataclass(frozen=True)
class Ran:
    """An op that ran. `origin` is the layer, or the op whose gradient was computed."""

    op: str
    inputs: tuple[Type, ...]
    outputs: tuple[Type, ...]
    seconds: float
    origin: str

    def __str__(self) -> str:
        inputs, outputs = (", ".join(map(str, types)) for types in (self.inputs, self.outputs))
        return f"{self.seconds * 1e6:9.1f} us  {self.op}({inputs}) -> {outputs}" + (
            f"  # {self.origin}" if self.origin else "")


@dataclass
class Trace:
    """The ops that ran, in order."""

    ran: list[Ran] = field(default_factory=list)

    def add(self, ran: Ran) -> None:
        """Note one more."""
        self.ran.append(ran)

    @property
    def seconds(self) -> float:
        """Of all of them together."""
        return sum(each.seconds for each in self.ran)

    def __iter__(self) -> Iterator[Ran]:
        return iter(self.ran)

    def __len__(self) -> int:
        return len(self.ran)

    def __str__(self) -> str:
        return "\n".join([*map(str, self.ran), f"{self.seconds * 1e6:9.1f} us  in {len(self.ran)} ops"])


@contextmanager
def trace() -> Iterator[Trace]:
    """Note every op that runs inside the block, those of `backward` included; print what it gives."""
    found = Trace()
    with using(trace=found):
        yield found


@contextmanager
def check_numerics() -> Iterator[None]:
    """Raise NumericsError inside the block as soon as an op gives NaN or infinity, and name it."""
    with using(checking=True):
        yield


def check_finite(op: str, inputs: Sequence[Tensor], outputs: Sequence[np.ndarray[Any, Any]], origin: str) -> None:
    """Raise NumericsError for an output that is not finite."""
    for output in outputs:
        if output.dtype.kind != "f" or np.isfinite(output).all():
            continue
        what = "NaN" if np.isnan(output).any() else "infinity"
        given = [each for each in inputs if each.data.dtype.kind == "f" and not np.isfinite(each.data).all()]
        how = "of inputs that were not finite already" if given else "of finite inputs"
        where = f" ({origin})" if origin else ""
        types = ", ".join(str(each.type) for each in inputs)
        raise NumericsError(f"{op}{where} gave {what} {how}: {types}", node=origin or op)
