"""What every schedule is: a pure function of the step, so that a resumed job needs nothing but its step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.options import number

Steps = npt.NDArray[np.int64]
Rates = npt.NDArray[np.float32]

FLOAT32_MAXIMUM = float(np.finfo(np.float32).max)

rate = number(minimum=0, maximum=FLOAT32_MAXIMUM)
"""Reads a learning rate."""


@dataclass(frozen=True, kw_only=True)
class Schedule(ABC):
    """Computed in float64 and rounded once: within a rounding of Keras 3, which computes in float32."""

    @abstractmethod
    def __call__(self, steps: Steps) -> Rates:
        """The learning rate of each step. The first update has step 0, as in Keras."""
