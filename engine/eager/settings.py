"""How eager ops run in this thread (or task): whether a tape is written, and what is watched."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.lowering.select import NUMERICS, Numerics

if TYPE_CHECKING:
    from engine.eager.inspection import Trace


@dataclass(frozen=True)
class Settings:
    """What holds for the ops that run now."""

    taping: bool = True
    training: bool = False
    checking: bool = False
    numerics: Numerics = "winograd4"
    trace: Trace | None = None


_settings: ContextVar[Settings] = ContextVar("eager settings", default=Settings())  # noqa: B039 - it is frozen
current = _settings.get


@contextmanager
def using(**changes: object) -> Iterator[None]:
    """Other settings inside the block."""
    token = _settings.set(replace(current(), **changes))  # type: ignore[arg-type]
    try:
        yield
    finally:
        _settings.reset(token)


@contextmanager
def no_grad() -> Iterator[None]:
    """No tape is written inside: results need no gradients, and keep nothing else alive."""
    with using(taping=False):
        yield


@contextmanager
def training(on: bool = True) -> Iterator[None]:
    """Layers behave as in training inside: dropout drops, batch normalization takes the batch's moments."""
    with using(training=on):
        yield


@contextmanager
def numerics(kept: Numerics) -> Iterator[None]:
    """Another choice of algorithms inside; see `numerics` of a job's `training`."""
    if kept not in NUMERICS:
        raise ValueError(f"expected one of {', '.join(NUMERICS)}, received {kept!r}")
    with using(numerics=kept):
        yield


class Randomness:
    """Where random numbers come from: a seed, and counters of what was declared and drawn so far."""

    def __init__(self, seed: int, step: int) -> None:
        self.seed = seed
        self.names: Counter[str] = Counter()
        self.variables, self.streams, self.steps = itertools.count(), itertools.count(), itertools.count(step)


randomness = Randomness(0, 0)


def seed(number: int, *, step: int = 0) -> None:
    """Begin anew: what follows draws as a training with this seed does from its first variable and layer on.

    A random op draws by the seed, its `stream`, and a step that counts such ops from `step`; a layer's draws count the
    layer's calls.
    """
    randomness.__init__(number, step)  # type: ignore[misc]
