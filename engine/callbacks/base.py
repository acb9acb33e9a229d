"""What every callback is: a state machine that hears of steps and epochs and answers with what to do.

    callback.start() -> State        a new one for every training
    state.on_steps(...)              after every native call, with the losses of its steps
    state.on_epoch_end(...)          after every epoch, with its logs
    state.on_train_end()             once, however training ended, unless it is going to be resumed
    state.snapshot(), .restore()     JSON; a restored state goes on as if nothing had happened

A callback holds no weights: it asks for them to be remembered and restored, and the fit loop keeps them by the
callback's place in the list (and puts them into checkpoints).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from engine.errors import Fault


@dataclass(frozen=True)
class Action:
    """What a callback wants done. The default wants nothing."""

    stop: bool = False
    """End training normally after this epoch."""
    learning_rate: float | None = None
    """The learning rate from the next step on."""
    remember_weights: bool = False
    """Keep a copy of the present weights for this callback, instead of the one kept so far."""
    restore_weights: bool = False
    """Put the remembered weights back."""
    not_finite: bool = False
    """End training as failed: a loss is NaN or infinite. The fit loop finds the node and raises NumericsError."""
    message: str | None = None
    """A sentence for the job's log."""
    level: Literal["info", "warning", "error"] = "info"


NOTHING = Action()


class State(ABC):
    """A callback's memory during one training."""

    def on_steps(self, first_step: int, losses: npt.NDArray[np.float32]) -> Action:
        """`losses` of the updates `first_step`, `first_step + 1`, … (counted from 1)."""
        return NOTHING

    @abstractmethod
    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> Action:
        """`epoch` counts from 1; `logs` holds the epoch's `loss`, `val_` values and the present `learning_rate`."""

    def on_train_end(self) -> Action:
        """Training is over and will not be resumed."""
        return NOTHING

    @abstractmethod
    def snapshot(self) -> dict[str, Any]:
        """All of the memory as JSON."""

    @abstractmethod
    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Take over a snapshot's memory."""


@dataclass(frozen=True, kw_only=True)
class Callback(ABC):
    """The options; `start` gives the state machine."""

    sets_learning_rate: ClassVar[bool] = False

    @abstractmethod
    def start(self, directions: Mapping[str, str] | None = None) -> State:
        """A state for one training. `directions` says `min` or `max` for logs whose names do not tell."""

    def faults(self, logs: Collection[str], *, scheduled: bool, pointer: str) -> list[Fault]:
        """What cannot work in a training whose epochs end with `logs`; `scheduled`: its learning rate is a schedule."""
        if self.sets_learning_rate and scheduled:
            return [Fault(pointer, f"expected a learning rate that is a number, as {type(self).__name__} changes it, "
                          "received a schedule")]
        return []
