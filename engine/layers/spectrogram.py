"""Spectrograms of sampled signals: short-time Fourier transformations as convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.graph.ir import GraphBuilder, Value
from engine.initializers.stft import STFT, window
from engine.layers.base import Layer, LayerSample, Net, OptionMismatch, channels_last, text
from engine.layers.window import expect_spatial, window_padding
from engine.ops.base import ShapeMismatch
from engine.options import Mismatch, boolean, choice, integer, number, option, optional
from engine.registry import register

length = integer(minimum=2, maximum=65_536)
step = integer(minimum=1, maximum=65_536)
EPSILON = 1e-7
DECIBEL = 10 / math.log(10)
MEL_STEEPNESS, MEL_BREAK = 1127.0, 700.0
"""HTK's: mel(f) = 1127 ln(1 + f / 700)."""


def _framed(b: GraphBuilder, x: Value, kernel: Value, stride: int, padding: tuple[int, int]) -> Value:
    """(batch, channels, samples, 1) and a kernel (frame, 1, frequencies): (batch, channels, frames, frequencies)."""
    kernel = b.op("reshape", kernel, shape=(1, *kernel.shape))
    return b.op("conv2d", x, kernel, strides=(1, stride), padding=((0, 0), padding))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class STFTSpectrogram(Layer):
    """Frequencies of frames of a signal, by kernels that training goes on with unless the layer is frozen.

    `mode`: real or imaginary parts, both (stft), their length (magnitude), its logarithm (log) or power density (psd).
    Input shape: (batch, samples, channels).
    Output shape: (batch, frames, channels * frequencies), or with `expand_dims` (batch, frames, frequencies, channels).
    """

    mode: str = option(choice("log", "magnitude", "psd", "real", "imag", "stft"), default="log")
    frame_length: int = option(length, default=256)
    frame_step: int | None = option(optional(step), default=None, doc="default: half a frame")
    fft_length: int | None = option(optional(length), default=None, doc="default: the next power of two")
    window: Any = option(window, default="hann")
    periodic: bool = option(boolean, default=False)
    scaling: str | None = option(optional(choice("density", "spectrum")), default="density")
    padding: str = option(choice("valid", "same"), default="valid")
    expand_dims: bool = option(boolean, default=False)
    data_format: str = option(channels_last, default="channels_last")

    samples = (LayerSample({"frame_length": 6, "window": None}, ((20, 2),), (5, 10), 60),
               LayerSample({"mode": "stft", "frame_length": 4, "frame_step": 3, "padding": "same",
                            "window": [1, 2, 2, 1], "expand_dims": True, "scaling": None}, ((8, 2),), (3, 6, 2), 24),
               LayerSample({"mode": "psd", "frame_length": 4, "fft_length": 8, "window": None}, ((9, 1),), (3, 5), 40),
               LayerSample({"mode": "imag", "frame_length": 5, "scaling": "spectrum", "window": None}, ((9, 1),),
                           (3, 5), 25))

    def check(self, pointer: str) -> None:
        """A step within a frame, a frame within the transformation."""
        if self.frame_step is not None and self.frame_step > self.frame_length:
            raise Mismatch(f"{pointer}/frame_step", f"at most frame_length, {self.frame_length}", self.frame_step)
        if self.fft_length is not None and self.fft_length < self.frame_length:
            raise Mismatch(f"{pointer}/fft_length", f"at least frame_length, {self.frame_length}", self.fft_length)
        if isinstance(self.window, tuple) and len(self.window) != self.frame_length:
            raise Mismatch(f"{pointer}/window", f"{self.frame_length} values", f"{len(self.window)}")

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        (samples,), _ = expect_spatial(x, 1)
        stride = self.frame_step or self.frame_length // 2
        if self.padding == "valid" and samples < self.frame_length:
            raise OptionMismatch("frame_length", f"at most the {samples} samples of {text(x.shape)}", self.frame_length)
        (sides,) = window_padding(self.padding, (samples,), (self.frame_length,), (stride,))
        b, frequencies = net.b, (self.fft_length or 2 ** math.ceil(math.log2(self.frame_length))) // 2 + 1
        lines = b.op("transpose", x, permutation=(0, 2, 1))
        lines = b.op("reshape", lines, shape=(*lines.shape, 1))
        found = {}
        for side in ("real", "imag"):
            if self.mode not in {"real", "imag"} - {side}:
                kernel = net.weight(f"{side}_kernel", (self.frame_length, 1, frequencies), STFT(
                    side=side, window=self.window, scaling=self.scaling, periodic=self.periodic))
                found[side] = _framed(b, lines, kernel, stride, sides)
        return self._arranged(b, self._measured(b, list(found.values())))

    def _measured(self, b: GraphBuilder, parts: Sequence[Value]) -> Value:
        if self.mode in ("real", "imag"):
            return parts[0]
        if self.mode == "stft":
            return b.op("concatenate", *parts, axis=3)
        real, imaginary = (b.op("square", part) for part in parts)
        power = b.op("add", real, imaginary)
        if self.mode == "psd":
            # All but the first and the last frequency stand for a negative one as well.
            twice = np.full(power.shape[3], 2.0)
            twice[[0, -1]] = 1.0
            return b.op("multiply", power, b.constant(twice))
        size = b.op("sqrt", b.op("maximum", power, b.constant(EPSILON)))
        return size if self.mode == "magnitude" else b.op("log", b.op("maximum", size, b.constant(EPSILON)))

    def _arranged(self, b: GraphBuilder, y: Value) -> Value:
        if self.expand_dims:
            return b.op("transpose", y, permutation=(0, 2, 3, 1))
        y = b.op("transpose", y, permutation=(0, 2, 1, 3))
        batch, frames, channels, frequencies = y.shape
        return b.op("reshape", y, shape=(batch, frames, channels * frequencies))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class MelSpectrogram(Layer):
    """Frequencies of frames of a signal in bands of equal width to the ear, as decibels unless `power_to_db` is false.

    Decibels are at least `top_db` below the loudest of the whole batch, as in Keras: what is predicted for an example
    may depend on its batch. Input shape: (batch, samples). Output shape: (batch, num_mel_bins, frames).
    """

    fft_length: int = option(length, default=2048)
    sequence_stride: int = option(step, default=512)
    sequence_length: int | None = option(optional(length), default=None, doc="of the window; default: fft_length")
    window: str = option(choice("hann", "hamming"), default="hann")
    sampling_rate: int = option(integer(minimum=1), default=16_000)
    num_mel_bins: int = option(step, default=128)
    min_freq: float = option(number(minimum=0), default=20.0)
    max_freq: float | None = option(optional(number(above=0)), default=None, doc="default: half the sampling rate")
    power_to_db: bool = option(boolean, default=True)
    top_db: float = option(number(minimum=0), default=80.0)
    mag_exp: float = option(number(above=0), default=2.0)
    min_power: float = option(number(above=0), default=1e-10)
    ref_power: float = option(number(), default=1.0)

    size_option = "num_mel_bins"
    samples = (LayerSample({"fft_length": 16, "sequence_stride": 4, "num_mel_bins": 3}, ((40,),), (3, 11)),
               LayerSample({"fft_length": 8, "sequence_length": 5, "sequence_stride": 3, "num_mel_bins": 2,
                            "window": "hamming", "mag_exp": 1.0, "power_to_db": False, "sampling_rate": 8000},
                           ((20,),), (2, 7)))

    def check(self, pointer: str) -> None:
        """A window within the transformation, frequencies in their order."""
        if self.sequence_length is not None and self.sequence_length > self.fft_length:
            raise Mismatch(f"{pointer}/sequence_length", f"at most fft_length, {self.fft_length}", self.sequence_length)
        if self._highest <= self.min_freq:
            raise Mismatch(f"{pointer}/min_freq", f"a number below max_freq, {self._highest:g}", self.min_freq)

    @property
    def _highest(self) -> float:
        return self.max_freq or self.sampling_rate // 2

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        b, half = net.b, self.fft_length // 2
        if x.type.rank != 2:
            raise ShapeMismatch("rank 2 (batch, samples)", text(x.shape))
        samples = x.shape[1]
        assert isinstance(samples, int)
        if samples <= half:
            raise OptionMismatch("fft_length", f"less than twice the {samples} samples", self.fft_length)
        places = [*range(half, 0, -1), *range(samples), *range(samples - 2, samples - 2 - half, -1)]
        mirrored = b.op("resample", x, axis=1, taps=tuple(((place, 1.0),) for place in places))
        lines = b.op("reshape", mirrored, shape=(x.shape[0], 1, len(places), 1))
        parts = [_framed(b, lines, b.constant(kernel[:, None]), self.sequence_stride, (0, 0))
                 for kernel in self._kernels()]
        power = b.op("add", *(b.op("square", part) for part in parts))
        if self.mag_exp != 2:
            power = b.op("power", power, exponent=self.mag_exp / 2)
        _, _, frames, frequencies = power.shape
        bands = b.op("reshape", power, shape=(x.shape[0], frames, frequencies))
        bands = self._banded(b, bands)
        return b.op("transpose", self._decibels(b, bands) if self.power_to_db else bands, permutation=(0, 2, 1))

    def _banded(self, b: GraphBuilder, bands: Value) -> Value:
        """Frequencies gathered into bands: weighted sums along the last dimension."""
        weights = self._mel()
        taps = tuple(tuple((int(place), float(band[place])) for place in np.flatnonzero(band)) for band in weights.T)
        return b.op("resample", bands, axis=2, taps=taps)

    def _kernels(self) -> Sequence[Any]:
        """Cosines and sines under the window, which stands in the middle: (fft_length, frequencies)."""
        size = self.sequence_length or self.fft_length
        # TensorFlow's windows are periodic for even lengths alone.
        share, turns = (0.5, 0.5) if self.window == "hann" else (0.54, 0.46), np.arange(size) / (size - size % 2)
        before = (self.fft_length - size) // 2
        values = np.zeros(self.fft_length)
        values[before:before + size] = share[0] - share[1] * np.cos(2 * np.pi * turns)
        angles = 2 * np.pi * np.outer(np.arange(self.fft_length), np.arange(self.fft_length // 2 + 1)) / self.fft_length
        return [values[:, None] * np.cos(angles), values[:, None] * np.sin(angles)]

    def _mel(self) -> Any:
        """Triangles in mel: (frequencies, bands); the constant frequency is in none."""
        def mel(frequencies: Any) -> Any:
            return MEL_STEEPNESS * np.log1p(frequencies / MEL_BREAK)

        found = mel(np.linspace(0, self.sampling_rate / 2, self.fft_length // 2 + 1))[:, None]
        edges = np.linspace(mel(self.min_freq), mel(self._highest), self.num_mel_bins + 2)
        rising = (found - edges[:-2]) / (edges[1:-1] - edges[:-2])
        falling = (edges[2:] - found) / (edges[2:] - edges[1:-1])
        weights = np.maximum(0, np.minimum(rising, falling))
        weights[0] = 0
        return weights

    def _decibels(self, b: GraphBuilder, power: Value) -> Value:
        reference = DECIBEL * math.log(max(abs(self.ref_power), self.min_power))
        loudness = b.op("log", b.op("maximum", power, b.constant(self.min_power)))
        loudness = b.op("scale", loudness, factor=DECIBEL, offset=-reference)
        loudest = b.op("reduce_max", loudness, axes=(0, 1, 2), keepdims=True)
        return b.op("maximum", loudness, b.op("scale", loudest, offset=-self.top_db))
