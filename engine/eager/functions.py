"""A function for each registered op, made from what the op declares."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from engine import registry
from engine.eager.operators import Operators
from engine.eager.tape import EAGER
from engine.ops.base import find
from engine.ops.elementwise import Elementwise

KEYWORD, SEVERAL = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_POSITIONAL


def names() -> list[str]:
    """The ops that can be called by hand."""
    return [name for name in registry.entries("op") if not find(name).run_only]


@cache
def function(name: str) -> Callable[..., Any]:
    """`function("conv2d")(x, kernel, strides=(1, 1), …)`: values by their places, attributes by name."""

    def applied(*operands: Any, **attrs: Any) -> Any:
        for each in operands:
            if isinstance(each, Operators) and each.maker.symbolic:
                return each.maker.call(name, *operands, **attrs)
        return EAGER.call(name, *operands, **attrs)

    applied.__name__ = applied.__qualname__ = name
    applied.__doc__ = type(find(name)).__doc__ or f"The op `{name}` on values of any shape, element by element."
    applied.__signature__ = signature(name)  # type: ignore[attr-defined]
    return applied


def signature(name: str) -> inspect.Signature:
    """What an op takes: an elementwise op as its expression does, any other as its `infer`."""
    op = find(name)
    if isinstance(op, Elementwise) and name != "fused":
        _, *given = inspect.signature(type(op).expression).parameters.values()
        operands = [each for each in given if each.kind is not KEYWORD]
    else:
        given = list(inspect.signature(op.infer).parameters.values())
        operands = [inspect.Parameter("operands", SEVERAL)]
    attrs = [each.replace(annotation=inspect.Parameter.empty) for each in given if each.kind is KEYWORD]
    return inspect.Signature([*(each.replace(annotation=inspect.Parameter.empty) for each in operands), *attrs])
