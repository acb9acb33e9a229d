"""Watching one value of the logs: which way is better, what counts as an improvement, what if it is missing."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from engine.callbacks.base import Action, Callback
from engine.errors import Fault, nearest, pointer_to, show
from engine.options import choice, number, option, text

_RISING = ("acc", "auc", "precision", "recall", "f1", "fbeta", "iou", "dice", "r2", "top_k", "similarity", "kappa")


def direction(monitor: str, directions: Mapping[str, str] | None = None) -> str:
    """`max` for values that are better when higher, `min` for all others; `directions` (name without `val_`) first."""
    name = monitor.removeprefix("val_")
    if directions and name in directions:
        return directions[name]
    lowered = name.lower()
    return "max" if any(part in lowered for part in _RISING) and "loss" not in lowered else "min"


def improves(value: float, best: float | None, mode: str, min_delta: float = 0.0) -> bool:
    """Is `value` better than `best` by more than `min_delta`? NaN never is; anything else is better than nothing."""
    if math.isnan(value):
        return False
    if best is None:
        return True
    # As Keras 3 writes it, to round alike: the delta is taken from the value, not added to the best.
    return value - min_delta > best if mode == "max" else value + min_delta < best


@dataclass(frozen=True, kw_only=True)
class Monitor(Callback):
    """A callback that watches the value `monitor` of each epoch's logs."""

    monitor: str = option(text(), default="val_loss", doc="the log to watch: loss, val_loss, val_accuracy, …")
    mode: str = option(choice("auto", "min", "max"), default="auto",
                       doc="whether lower or higher is better; auto: higher for accuracies and their like")
    min_delta: float = option(number(minimum=0), default=0.0, doc="an improvement is larger than this")

    def faults(self, logs: Collection[str], *, scheduled: bool, pointer: str) -> list[Fault]:
        faults = super().faults(logs, scheduled=scheduled, pointer=pointer)
        if self.monitor not in logs:
            faults.append(Fault(pointer_to(pointer, "monitor"), f"expected one of {', '.join(sorted(logs))}, "
                                f"received {show(self.monitor)}{nearest(self.monitor, logs)}"))
        return faults

    def missing(self, logs: Mapping[str, float]) -> Action:
        """The warning for logs without the watched value."""
        return Action(level="warning", message=f"{type(self).__name__} watches {self.monitor!r}, which is not in the "
                      f"epoch's logs: {', '.join(sorted(logs))}")
