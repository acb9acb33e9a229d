"""Names of values: `dense` is what the input or call of that name gives, `lstm:1` its second output."""

from __future__ import annotations


def reference(name: str, output: int = 0) -> str:
    """The name of a call's output."""
    return f"{name}:{output}" if output else name


def call_of(reference: str) -> str:
    """The input or call that a value belongs to."""
    return reference.partition(":")[0]
