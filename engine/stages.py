"""How long each part of a training took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stages:
    """Seconds by stage, in the order in which the stages first began. A stage may come again: its seconds add up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """`with stages("plan"):`"""
        began = time.monotonic()
        self.seconds.setdefault(name, 0.0)
        try:
            yield
        finally:
            self.seconds[name] += time.monotonic() - began

    def taken(self) -> dict[str, float]:
        """What there is so far; the next ones begin from nothing."""
        seconds, self.seconds = self.seconds, {}
        return {name: round(value, 4) for name, value in seconds.items()}


def told(seconds: dict[str, float]) -> str:
    """`2.31 s: steps 2.00, evaluation 0.31`."""
    parts = ", ".join(f"{name} {value:.2f}" for name, value in seconds.items())
    return f"{sum(seconds.values()):.2f} s: {parts}"
