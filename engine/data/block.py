"""The `data` block of a job, as it is written: options only, nothing of the dataset yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.data import limits
from engine.data.augmentation import Augmentation
from engine.data.readers import fields, mapping
from engine.data.splits import Split
from engine.data.transform import Transform
from engine.options import Mismatch, Reader, choice, entry, option, optional, read_fields, sequence, text

NAME = text(limits.MAX_COLUMN_NAME)
NAMES = sequence(NAME, 1, limits.MAX_COLUMNS)
MAX_STEPS = 200
MAX_INPUTS = 100


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is predicted: a column of classes, or columns of numbers."""

    column: str | tuple[str, ...] = option(Reader(lambda value, pointer: _names(value, pointer),
                                                  {"anyOf": [dict(NAME.schema), dict(NAMES.schema)]}))
    kind: str | None = option(optional(choice("classes", "numeric")), default=None,
                              doc="for a column of integers; default: what the loss asks for")

    @property
    def columns(self) -> tuple[str, ...]:
        """One or more."""
        return (self.column,) if isinstance(self.column, str) else self.column


def _names(value: Any, pointer: str) -> str | tuple[str, ...]:
    if isinstance(value, str):
        name: str = NAME(value, pointer)
        return name
    if not isinstance(value, (list, tuple)):
        raise Mismatch(pointer, "a column's name or a list of names", value)
    names: tuple[str, ...] = NAMES(value, pointer)
    return names


def _target(value: Any, pointer: str) -> Target:
    if isinstance(value, Mapping):
        target: Target = read_fields(Target, value, pointer)
        return target
    return Target(column=_names(value, pointer))


def _features(value: Any, pointer: str) -> Any:
    if isinstance(value, Mapping):
        return mapping(NAME, NAMES, 1, MAX_INPUTS)(value, pointer)
    return NAMES(value, pointer)


@dataclass(frozen=True, kw_only=True)
class DataBlock:
    """A job's `data`: which columns, how they are divided, and what is done to them."""

    features: tuple[str, ...] | Mapping[str, tuple[str, ...]] | None = option(
        optional(Reader(_features, {"anyOf": [dict(NAMES.schema), {"type": "object"}]})), default=None,
        doc="columns, or {input: columns}; default: all but the target and the weight")
    target: Target | None = option(optional(Reader(_target, {"anyOf": [dict(NAME.schema), {"type": "object"}]})),
                                   default=None, doc="a column, a list of numeric columns, or {column, kind}; default: "
                                                     "the dataset's")
    sample_weight: str | None = option(optional(NAME), default=None,
                                       doc="a column of weights of at least 0 for the loss; it is not a feature")
    split: Split = option(fields(Split), default=Split(), doc="fractions taken from the training rows")
    preprocessing: tuple[Transform, ...] = option(sequence(entry("transform"), 0, MAX_STEPS), default=(),
                                                  doc="steps applied in order; texts without a step become one-hot")
    augmentation: tuple[Augmentation, ...] = option(sequence(entry("augmentation"), 0, MAX_STEPS), default=(),
                                                    doc="random changes of pictures in training")
