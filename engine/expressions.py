"""Scalar expressions by the name of their op: what ops declare and what kernels make code of.

An expression is a function `(m, *values, **attrs)`. A body is a chain of them: a tuple of (name, arguments,
attributes), where arguments number the chain's inputs first, then its results so far. The last result is the chain's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Expression = Callable[..., Any]
Body = tuple[tuple[str, tuple[int, ...], tuple[tuple[str, Any], ...]], ...]

EXPRESSIONS: dict[str, Expression] = {}


def evaluate(m: Any, body: Body, values: Sequence[Any]) -> Any:
    """The result of a body on whatever `m` computes with; the single input itself for an empty body."""
    results = list(values)
    for name, arguments, attrs in body:
        results.append(EXPRESSIONS[name](m, *(results[index] for index in arguments), **dict(attrs)))
    return results[-1]
