"""Kernels of a short-time Fourier transformation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.initializers.base import Initializer, Shape, Values
from engine.options import Mismatch, Reader, boolean, choice, number, option, optional, sequence
from engine.registry import register

_values = sequence(number(), 1, 65_536)
WINDOWS: dict[str, Callable[[int], Any]] = {
    "hann": np.hanning, "hamming": np.hamming, "blackman": np.blackman, "bartlett": np.bartlett, "boxcar": np.ones}


def _window(value: Any, pointer: str) -> str | tuple[float, ...]:
    """A window's name, or its values."""
    if isinstance(value, (list, tuple)):
        values: tuple[float, ...] = _values(value, pointer)
        return values
    if value not in WINDOWS:
        raise Mismatch(pointer, f"one of {', '.join(WINDOWS)}, or a list of numbers", value)
    return str(value)


window = optional(Reader(_window, {"anyOf": [{"type": "string", "enum": list(WINDOWS)}, dict(_values.schema)]}))


@register("initializer", aliases=("STFTInitializer",))
@dataclass(frozen=True, kw_only=True)
class STFT(Initializer):
    """The real or imaginary parts of a windowed Fourier transformation, for kernels (frame, 1, frequencies)."""

    side: str = option(choice("real", "imag"), default="real")
    window: str | tuple[float, ...] | None = option(window, default="hann")
    scaling: str | None = option(optional(choice("density", "spectrum")), default="density")
    periodic: bool = option(boolean, default=False)

    def fault(self, shape: Shape) -> str | None:
        if len(shape) != 3 or shape[1] != 1 or shape[2] < 2:
            return f"expected a shape (frame, 1, frequencies), received {shape}"
        if isinstance(self.window, tuple) and len(self.window) != shape[0]:
            return f"expected a window of {shape[0]} values, received {len(self.window)}"
        return None

    def __call__(self, shape: Shape, seed: int) -> Values:
        self.require(shape)
        frame, _, frequencies = shape
        angles = -2 * np.pi * np.arange(frame)[:, None, None] * np.arange(frequencies) / (2 * (frequencies - 1))
        kernel = np.cos(angles) if self.side == "real" else np.sin(angles)
        if self.window is not None:
            values = self._values(frame)
            scale = {"density": np.sqrt((values**2).sum()), "spectrum": np.abs(values).sum(), None: 1.0}[self.scaling]
            kernel = kernel * values[:, None, None] / scale
        return kernel.astype(np.float32)

    def _values(self, frame: int) -> Any:
        if isinstance(self.window, tuple):
            return np.asarray(self.window)
        assert self.window is not None
        if frame == 1:
            return np.ones(1)
        return WINDOWS[self.window](frame + 1)[:-1] if self.periodic else WINDOWS[self.window](frame)
