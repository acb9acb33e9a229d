"""Cosine decay with an optional linear warm-up (Loshchilov and Hutter, ICLR 2017; Goyal et al., 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.options import Mismatch, integer, number, option, optional, text
from engine.registry import register
from engine.schedules.base import Rates, Schedule, Steps, rate


@register("schedule")
@dataclass(frozen=True, kw_only=True)
class CosineDecay(Schedule):
    """Half a cosine wave over `decay_steps`, from the initial rate down to `alpha` times it.

    With `warmup_target`, the rate first rises linearly from `initial_learning_rate` to `warmup_target` over
    `warmup_steps`, and decays from there.
    """

    initial_learning_rate: float = option(rate)
    decay_steps: int = option(integer(minimum=1))
    alpha: float = option(number(minimum=0), default=0.0)
    name: str = option(text(), default="CosineDecay")
    warmup_target: float | None = option(optional(rate), default=None)
    warmup_steps: int = option(integer(minimum=0), default=0)

    def check(self, pointer: str) -> None:
        """Warm-up steps without a target would be ignored (and are, in Keras)."""
        if self.warmup_steps and self.warmup_target is None:
            raise Mismatch(f"{pointer}/warmup_target", "a learning rate, as warmup_steps is given", None)

    def __call__(self, steps: Steps) -> Rates:
        warmup = 0 if self.warmup_target is None else self.warmup_steps
        top = self.initial_learning_rate if self.warmup_target is None else self.warmup_target
        fraction = np.clip((steps - warmup) / np.float64(self.decay_steps), 0.0, 1.0)
        decayed = top * ((1 - self.alpha) * 0.5 * (1.0 + np.cos(np.pi * fraction)) + self.alpha)
        rising = self.initial_learning_rate + (top - self.initial_learning_rate) * (steps / np.float64(max(warmup, 1)))
        return np.where(steps < warmup, rising, decayed).astype(np.float32)
