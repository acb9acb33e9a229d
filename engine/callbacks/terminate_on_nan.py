"""End training as soon as a loss is not finite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.callbacks.base import NOTHING, Action, Callback, State
from engine.registry import register


@register("callback", aliases=("terminate_on_nan",))
@dataclass(frozen=True, kw_only=True)
class TerminateOnNaN(Callback):
    """Fail at the first step whose loss is NaN or infinite, and name the node in which it began."""

    def start(self, directions: Mapping[str, str] | None = None) -> State:
        return _Watch()


class _Watch(State):
    """Has no memory: the first fault ends training."""

    def on_steps(self, first_step: int, losses: npt.NDArray[np.float32]) -> Action:
        faults = np.flatnonzero(~np.isfinite(losses))
        if not faults.size:
            return NOTHING
        return _fault(f"the loss of step {first_step + int(faults[0])} is {losses[faults[0]]}")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> Action:
        loss = logs.get("loss", 0.0)
        return NOTHING if np.isfinite(loss) else _fault(f"the loss of epoch {epoch} is {loss}")

    def snapshot(self) -> dict[str, Any]:
        return {}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """There is nothing to take over."""


def _fault(message: str) -> Action:
    return Action(stop=True, not_finite=True, message=message, level="error")
