"""Scalar expressions by the name of their op: what ops declare and what kernels make code of.

An expression is a function `(m, *values, **attrs)`. A body is a chain of them: a tuple of (name, arguments,
attributes), where arguments number the chain's inputs first, then its results so far. The last result is the chain's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import registry

Expression = Callable[..., Any]
Body = tuple[tuple[str, tuple[int, ...], tuple[tuple[str, Any], ...]], ...]

EXPRESSIONS: dict[str, Expression] = {}


def evaluate(m: Any, body: Body, values: Sequence[Any]) -> Any:
    """The result of a body on whatever `m` computes with; the single input itself for an empty body."""
    results = list(values)
    for name, arguments, attrs in body:
        results.append(EXPRESSIONS[name](m, *(results[index] for index in arguments), **dict(attrs)))
    return results[-1]


@dataclass(frozen=True)
class Rule:
    """How an optimizer changes one element.

    `numbers(m, rate, step, **options)` gives what is the same for all elements, in double precision; `step` counts from
    1. `update(m, numbers, w, g, *slots, **flags)` gives the weight and the slots afterwards.
    """

    numbers: Callable[..., tuple[Any, ...]]
    update: Callable[..., tuple[Any, ...]]


RULES: dict[str, Rule] = {}


def numbers_and_flags(options: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, Any]]:
    """A rule's options by name: what `numbers` takes, and what `update` takes."""
    numbers = {name: float(value) for name, value in sorted(options.items())
               if isinstance(value, int | float) and not isinstance(value, bool)}
    return numbers, {name: value for name, value in sorted(options.items()) if name not in numbers}


def rule(name: str) -> Rule:
    """The rule of this name; rules stand beside the options of their optimizers."""
    if name not in RULES:
        registry.entries("optimizer")
    return RULES[name]
