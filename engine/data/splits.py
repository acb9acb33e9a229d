"""Train, validation and test rows: as given, or drawn from the training rows by a seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine import random
from engine.data.format import SPLITS
from engine.errors import show
from engine.options import Mismatch, boolean, integer, number, option, optional

Rows = npt.NDArray[np.int64]
MAX_WARNINGS = 20


@dataclass(frozen=True, kw_only=True)
class Split:
    """`data.split`: fractions of the training rows that become other splits."""

    validation: float = option(number(minimum=0, below=1), default=0.0, doc="fraction of the training rows")
    test: float = option(number(minimum=0, below=1), default=0.0, doc="fraction of the training rows")
    stratify: bool = option(boolean, default=False, doc="take the same fraction of every class")
    seed: int | None = option(optional(integer(minimum=0)), default=None, doc="default: the job's seed")

    def check(self, pointer: str) -> None:
        """Something must be left to train on."""
        if self.validation + self.test >= 1:
            raise Mismatch(pointer, "validation and test to be less than 1 together",
                           f"{self.validation:g} + {self.test:g}")


def part_of(count: int, fraction: float) -> int:
    """The nearest whole number of rows."""
    return math.floor(count * fraction + 0.5)


def apportion(counts: Sequence[int], taken: Sequence[int], fraction: float) -> list[int]:
    """How many rows of each class make `fraction` of all: never off by one or more, exact in sum if it can be.

    The largest remainders are rounded up (ties: the first class), but a class's last row is left to train on. `taken`
    rows of each class are gone or promised to others.
    """
    exact = [count * fraction for count in counts]
    shares = [min(math.floor(share), max(0, count - gone - 1))
              for share, count, gone in zip(exact, counts, taken, strict=True)]
    short = part_of(sum(counts), fraction) - sum(shares)
    for place in sorted(range(len(counts)), key=lambda place: shares[place] - exact[place]):
        if short > 0 and exact[place] > shares[place] and shares[place] + taken[place] + 1 < counts[place]:
            shares[place] += 1
            short -= 1
    return shares


def divide(split: Split, given: Mapping[str, Sequence[int]], codes: npt.NDArray[np.int32] | None,
           seed: int) -> dict[str, Rows]:
    """Ascending row numbers of every split, some perhaps empty. `codes` are all rows' classes, if stratified."""
    rows = {name: np.arange(*given.get(name, (0, 0)), dtype=np.int64) for name in SPLITS}
    if not split.validation and not split.test:
        return rows
    train = rows["train"]
    labels = codes[train] if split.stratify and codes is not None else np.zeros(len(train), np.int32)
    groups = [train[labels == label] for label in range(int(labels.max(initial=0)) + 1)]
    counts = [len(group) for group in groups]
    promised = [math.floor(count * split.validation) for count in counts]
    test = apportion(counts, promised, split.test)
    validation = apportion(counts, test, split.validation)
    seed = seed if split.seed is None else split.seed
    drawn: dict[str, list[Rows]] = {name: [rows[name]] for name in ("validation", "test")}
    left = []
    for label, group in enumerate(groups):
        order = group[random.permutation((seed, random.SPLIT, label, 0), len(group))]
        middle = test[label] + validation[label]
        drawn["test"].append(order[:test[label]])
        drawn["validation"].append(order[test[label]:middle])
        left.append(order[middle:])
    return {"train": np.sort(np.concatenate(left)), **{name: np.sort(np.concatenate(drawn[name])) for name in drawn}}


def surprises(rows: Mapping[str, Rows], codes: npt.NDArray[np.int32], classes: Sequence[str]) -> list[str]:
    """Warnings about classes that a split in use has no example of."""
    warnings = []
    for name, chosen in rows.items():
        if len(chosen):
            counts = np.bincount(codes[chosen], minlength=len(classes))
            warnings += [f"class {show(classes[code])} has no examples in the {name} split"
                         for code in np.flatnonzero(counts == 0).tolist()]
    return warnings[:MAX_WARNINGS]
