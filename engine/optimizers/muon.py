"""Muon."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.graph.ir import GraphBuilder, Value
from engine.optimizers.adam import Adam
from engine.optimizers.base import Schedule, learning_rate, share
from engine.optimizers.matrices import MatrixOptimizer, norm, step_numbers
from engine.options import Mismatch, Reader, boolean, integer, number, option, optional, sequence, text
from engine.registry import register

_patterns = sequence(text(), 0, 100)


def _words(value: Any, pointer: str) -> tuple[str, ...]:
    """Parts of names; Keras takes patterns, of which only plain words are read."""
    words: tuple[str, ...] = () if value is None else _patterns(value, pointer)
    for index, word in enumerate(words):
        if not re.fullmatch(r"[\w/ .-]+", word):
            raise Mismatch(f"{pointer}/{index}", "a part of a name, not a pattern", word)
    return words


words = Reader(_words, {**_patterns.schema, "nullable": True})


@register("optimizer")
@dataclass(frozen=True, kw_only=True)
class Muon(MatrixOptimizer):
    """Momentum whose matrices are made orthogonal (Jordan et al., 2024); all but matrices by Adam."""

    rule = "muon"

    learning_rate: float | Schedule = option(learning_rate, default=0.001)
    weight_decay: float | None = option(optional(number(minimum=0)), default=0.004)
    adam_beta_1: float = option(share, default=0.9)
    adam_beta_2: float = option(share, default=0.999)
    adam_weight_decay: float | None = option(optional(number(minimum=0)), default=0.004)
    epsilon: float = option(number(minimum=0), default=1e-7)
    exclude_layers: tuple[str, ...] = option(words, default=(), doc="parts of names of weights left to Adam")
    exclude_embeddings: bool = option(boolean, default=True)
    muon_a: float = option(number(), default=3.4445)
    muon_b: float = option(number(), default=-4.775)
    muon_c: float = option(number(), default=2.0315)
    adam_lr_ratio: float = option(number(minimum=0), default=1.0)
    momentum: float = option(share, default=0.95)
    ns_steps: int = option(integer(minimum=1, maximum=20), default=5, doc="steps of Newton and Schulz's iteration")
    nesterov: bool = option(boolean, default=True)
    rms_rate: float | None = option(optional(number(minimum=0)), default=0.2)

    @staticmethod
    def numbers(m: Any, rate: Any, step: Any, *, ratio: Any = 1.0, rate_decay: Any = 0.0,
                **options: Any) -> tuple[Any, ...]:
        """Adam's, then the rate and what decay leaves of a weight."""
        return *Adam.numbers(m, rate * ratio, step, **options), rate, 1.0 - rate * rate_decay

    @staticmethod
    def update(m: Any, numbers: Any, w: Any, g: Any, *slots: Any, **_: Any) -> tuple[Any, ...]:
        """Adam's rule; without slots the last two numbers in the place of a weight."""
        if slots:
            return Adam.update(m, numbers[:4], w, g, *slots)
        return tuple(w * 0.0 + number for number in numbers[4:])

    def build(self, b: GraphBuilder, name: str, weight: Value, gradient: Value,
              slots: Mapping[str, Value]) -> tuple[Value, dict[str, Value]]:
        """Adam's step, or w -= rate orthogonal(momentum)."""
        if "velocity" in slots:
            applied = {**self.applied, "weight_decay": self.adam_weight_decay or 0.0}
            new, *kept = b.apply("step", weight, gradient, *slots.values(), slots=2, **applied)
            return new, dict(zip(slots, kept, strict=True))
        rate, rest = step_numbers(b, self.rule, 2, rate_decay=self.weight_decay or 0.0)
        weight = b.op("multiply", weight, rest) if self.weight_decay else weight
        momentum = b.op("add", gradient, b.op("scale", slots["momentum"], factor=self.momentum))
        ahead = b.op("add", gradient, b.op("scale", momentum, factor=self.momentum)) if self.nesterov else momentum
        change = b.op("multiply", self._orthogonal(b, ahead), rate)
        if self.rms_rate is not None:
            change = b.op("scale", change, factor=math.sqrt(max(weight.shape)) * self.rms_rate)
        return b.op("subtract", weight, change), {"momentum": momentum}

    def _orthogonal(self, b: GraphBuilder, x: Value) -> Value:
        """Newton and Schulz's iteration on the smaller side: all singular values near 1."""
        tall = x.shape[0] > x.shape[1]
        x = b.op("divide", x, b.op("scale", norm(b, x), factor=1.0, offset=1e-7))
        for _ in range(self.ns_steps):
            # Of a tall matrix xᵀ x and x p, which are the transposes of what Keras computes on its transpose.
            square = b.op("matmul", x, x, transpose_a=tall, transpose_b=not tall)
            p = b.op("add", b.op("scale", square, factor=self.muon_b),
                     b.op("scale", b.op("matmul", square, square), factor=self.muon_c))
            turned = b.op("matmul", x, p) if tall else b.op("matmul", p, x)
            x = b.op("add", b.op("scale", x, factor=self.muon_a), turned)
        return x

    def slots_of(self, name: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """A momentum, and for what is left to Adam a velocity."""
        adam = (len(shape) != 2 or (self.exclude_embeddings and "embedding" in name.lower())
                or any(word in name for word in self.exclude_layers))
        return {"momentum": shape, "velocity": shape} if adam else {"momentum": shape}

    @property
    def slots(self) -> tuple[str, ...]:
        return ("momentum", "velocity")

    @property
    def attributes(self) -> dict[str, Any]:
        return {"beta_1": self.adam_beta_1, "beta_2": self.adam_beta_2, "epsilon": self.epsilon,
                "ratio": self.adam_lr_ratio}
