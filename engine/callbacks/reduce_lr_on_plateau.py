"""Lower the learning rate when training no longer improves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from engine.callbacks.base import NOTHING, Action, State
from engine.callbacks.monitor import Monitor, direction, improves
from engine.options import integer, number, option
from engine.registry import register


@register("callback")
@dataclass(frozen=True, kw_only=True)
class ReduceLROnPlateau(Monitor):
    """Multiply the learning rate by `factor` after `patience` epochs without an improvement of the watched value."""

    sets_learning_rate: ClassVar[bool] = True

    min_delta: float = option(number(minimum=0), default=1e-4, doc="an improvement is larger than this")
    factor: float = option(number(minimum=0, below=1), default=0.1)
    patience: int = option(integer(minimum=0), default=10, doc="epochs without an improvement before the rate falls")
    cooldown: int = option(integer(minimum=0), default=0, doc="epochs after a change in which none are counted")
    min_lr: float = option(number(minimum=0), default=0.0, doc="the rate is never lowered below this")

    def start(self, directions: Mapping[str, str] | None = None) -> State:
        return _Watch(self, direction(self.monitor, directions) if self.mode == "auto" else self.mode)


@dataclass
class _Memory:
    best: float | None = None
    wait: int = 0
    cooldown: int = 0
    warned: bool = False


class _Watch(State):
    """The epochs since the last improvement or change, counted as in Keras 3."""

    def __init__(self, options: ReduceLROnPlateau, mode: str) -> None:
        self.options = options
        self.mode = mode
        self.memory = _Memory()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> Action:
        options, memory = self.options, self.memory
        value = logs.get(options.monitor)
        if value is None:
            told, memory.warned = memory.warned, True
            return NOTHING if told else options.missing(logs)
        if memory.cooldown > 0:
            memory.cooldown -= 1
            memory.wait = 0
        if improves(value, memory.best, self.mode, options.min_delta):
            memory.best, memory.wait = float(value), 0
            return NOTHING
        if memory.cooldown > 0:
            return NOTHING
        memory.wait += 1
        # The rate lives in the optimizer as float32: reading it back that way keeps a resumed job on the same values.
        present = float(np.float32(logs["learning_rate"]))
        if memory.wait < options.patience or present <= np.float32(options.min_lr):
            return NOTHING
        lowered = float(np.float32(max(present * options.factor, options.min_lr)))
        memory.cooldown, memory.wait = options.cooldown, 0
        return Action(learning_rate=lowered, message=f"learning rate lowered from {present:g} to {lowered:g} after "
                      f"epoch {epoch}: {options.monitor} has not improved")

    def snapshot(self) -> dict[str, Any]:
        return asdict(self.memory)

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self.memory = _Memory(**snapshot)
