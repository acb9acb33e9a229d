"""End training when it no longer improves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from engine.callbacks.base import NOTHING, Action, State
from engine.callbacks.monitor import Monitor, direction, improves
from engine.options import boolean, integer, number, option, optional
from engine.registry import register


@register("callback")
@dataclass(frozen=True, kw_only=True)
class EarlyStopping(Monitor):
    """Stop after `patience` epochs without an improvement of the watched value.

    The best weights come back also when training reaches its last epoch. NaN is never an improvement, also not as the
    first value.
    """

    patience: int = option(integer(minimum=0), default=0, doc="epochs without an improvement before training stops")
    baseline: float | None = option(optional(number()), default=None,
                                    doc="a value to beat: patience runs on until it is beaten")
    restore_best_weights: bool = option(boolean, default=False, doc="end with the weights of the best epoch")
    start_from_epoch: int = option(integer(minimum=0), default=0, doc="epochs that are not looked at, at the start")

    def start(self, directions: Mapping[str, str] | None = None) -> State:
        return _Watch(self, direction(self.monitor, directions) if self.mode == "auto" else self.mode)


@dataclass
class _Memory:
    best: float | None = None
    best_epoch: int = 0
    wait: int = 0
    remembered: bool = False
    warned: bool = False


class _Watch(State):
    """The epochs since the best one, counted as in Keras 3."""

    def __init__(self, options: EarlyStopping, mode: str) -> None:
        self.options = options
        self.mode = mode
        self.memory = _Memory()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> Action:
        options, memory = self.options, self.memory
        value = logs.get(options.monitor)
        if value is None:
            told, memory.warned = memory.warned, True
            return NOTHING if told else options.missing(logs)
        if epoch <= options.start_from_epoch:
            return NOTHING
        # Without any best weights so far, the present ones are the best, whatever their value.
        remember = options.restore_best_weights and not memory.remembered
        memory.wait += 1
        if improves(value, memory.best, self.mode, options.min_delta):
            memory.best, memory.best_epoch = float(value), epoch
            remember = options.restore_best_weights
            if options.baseline is None or improves(value, options.baseline, self.mode, options.min_delta):
                memory.wait = 0
            stop = False
        else:
            memory.best_epoch = epoch if remember else memory.best_epoch
            # The first epoch has nothing before it that it could have failed to improve.
            stop = memory.wait >= options.patience and epoch > 1
        memory.remembered = memory.remembered or remember
        message = (f"early stopping after epoch {epoch}: {options.monitor} has not improved for {memory.wait} "
                   f"epoch{'s' if memory.wait != 1 else ''}") if stop else None
        return Action(stop=stop, remember_weights=remember, message=message)

    def on_train_end(self) -> Action:
        if not self.memory.remembered:
            return NOTHING
        return Action(restore_weights=True, message=f"the weights of epoch {self.memory.best_epoch}, "
                      f"the best by {self.options.monitor}, are restored")

    def snapshot(self) -> dict[str, Any]:
        return asdict(self.memory)

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self.memory = _Memory(**snapshot)
