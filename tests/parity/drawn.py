"""Configurations of layers, drawn from a seed: the same here and in Keras's environment. Only numpy is imported.

`configurations(name)` gives what Keras is asked for and what is compared: options as keyword arguments, the inputs'
shapes with the batch, and below which number inputs are whole.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

COUNT = 20
"""Configurations of every layer."""


class Configuration(NamedTuple):
    options: dict[str, Any]
    shapes: list[tuple[int, ...]]
    integers: int | None = None
    arguments: Mapping[str, Any] = MappingProxyType({})
    """What else the call is given."""
    masked: tuple[int, ...] = ()
    """Inputs (batch, steps, …) that have a mask of their steps."""


class Draw:
    """Choices that follow from a name."""

    def __init__(self, name: str) -> None:
        self._generator = np.random.Generator(np.random.Philox(key=zlib.crc32(name.encode())))

    def integer(self, low: int, high: int) -> int:
        """low to high, both included."""
        return low + int(self._generator.integers(0, 2**24)) * (high - low + 1) // 2**24

    def choice(self, options: Sequence[Any]) -> Any:
        return options[self.integer(0, len(options) - 1)]

    def number(self, low: float, high: float) -> float:
        return round(low + (high - low) * self.integer(0, 1000) / 1000, 3)

    def maybe(self, **options: Any) -> dict[str, Any]:
        """Some of the options, the others left to their defaults."""
        return {name: value for name, value in options.items() if self.integer(0, 1)}

    def sizes(self, count: int, low: int, high: int) -> list[int]:
        return [self.integer(low, high) for _ in range(count)]


ACTIVATIONS = ("relu", "tanh", "gelu", "softmax", "linear", None, "sigmoid")
Family = Callable[[Draw], Configuration]


def _window(d: Draw, sizes: list[int], modes: tuple[str, ...], *, equal: bool) -> dict[str, Any]:
    """Kernel, strides, dilation and padding that fit into the sizes."""
    rank = len(sizes)
    kernel = [d.integer(1, min(4, size)) for size in sizes]
    options: dict[str, Any] = {"kernel_size": kernel, "padding": d.choice(modes)}
    kind = d.integer(0, 2)
    if kind == 1:
        options["strides"] = [d.integer(1, 3)] * rank if equal else d.sizes(rank, 1, 3)
        if rank == 3:
            options["strides"] = _within(options["strides"], kernel)
    elif kind == 2:
        steps = [d.integer(1, 3) if (size - 1) // max(1, k - 1) >= 3 else 1
                 for size, k in zip(sizes, kernel, strict=True)]
        options["dilation_rate"] = [min(steps)] * rank
    return options


def _within(strides: list[int], window: list[int]) -> list[int]:
    """Strides of a volume that pass over nothing: otherwise TensorFlow's `same` differs from its own gradient, and
    its poolings read outside their input."""
    return [min(stride, size) for stride, size in zip(strides, window, strict=True)]


def convolution(rank: int, modes: tuple[str, ...] = ("valid", "same")) -> Family:
    def draw(d: Draw) -> Configuration:
        sizes, groups = d.sizes(rank, 3, 9 if rank < 3 else 6), d.choice((1, 1, 2, 3))
        groups = 1 if rank == 3 else groups
        options = {"filters": groups * d.integer(1, 4), **_window(d, sizes, modes, equal=False), "groups": groups,
                   "activation": d.choice(ACTIVATIONS), **d.maybe(use_bias=False)}
        return Configuration(options, [(d.integer(1, 3), *sizes, groups * d.integer(1, 4))])

    return draw


def depthwise(rank: int) -> Family:
    def draw(d: Draw) -> Configuration:
        sizes = d.sizes(rank, 3, 9)
        options = {**_window(d, sizes, ("valid", "same"), equal=True), **d.maybe(depth_multiplier=d.integer(1, 3)),
                   "activation": d.choice(ACTIVATIONS), **d.maybe(use_bias=False)}
        return Configuration(options, [(d.integer(1, 3), *sizes, d.integer(1, 5))])

    return draw


def separable(rank: int) -> Family:
    def draw(d: Draw) -> Configuration:
        sizes = d.sizes(rank, 3, 9)
        options = {"filters": d.integer(1, 5), **_window(d, sizes, ("valid", "same"), equal=True),
                   **d.maybe(depth_multiplier=d.integer(1, 3)), "activation": d.choice(ACTIVATIONS),
                   **d.maybe(use_bias=False)}
        return Configuration(options, [(d.integer(1, 3), *sizes, d.integer(1, 4))])

    return draw


def transposed(rank: int) -> Family:
    """Without dilation, which TensorFlow does not transpose on a CPU."""

    def draw(d: Draw) -> Configuration:
        sizes = d.sizes(rank, 2, 6 if rank < 3 else 4)
        strides = d.sizes(rank, 1, 3)
        options: dict[str, Any] = {"filters": d.integer(1, 4), "kernel_size": d.sizes(rank, 1, 4), "strides": strides,
                                   "padding": d.choice(("valid", "same")), "activation": d.choice(ACTIVATIONS),
                                   **d.maybe(use_bias=False)}
        if options["padding"] == "valid" and min(strides) > 1 and d.integer(0, 1):
            options["output_padding"] = [d.integer(0, stride - 1) for stride in strides]
        return Configuration(options, [(d.integer(1, 3), *sizes, d.integer(1, 4))])

    return draw


def pooling(rank: int) -> Family:
    def draw(d: Draw) -> Configuration:
        sizes = d.sizes(rank, 3, 9 if rank < 3 else 6)
        options: dict[str, Any] = {"pool_size": [d.integer(1, min(4, size)) for size in sizes],
                                   "padding": d.choice(("valid", "same"))}
        if d.integer(0, 1):
            options["strides"] = d.sizes(rank, 1, 3)
            if rank == 3:
                options["strides"] = _within(options["strides"], options["pool_size"])
        return Configuration(options, [(d.integer(1, 3), *sizes, d.integer(1, 5))])

    return draw


def global_pooling(rank: int) -> Family:
    def draw(d: Draw) -> Configuration:
        return Configuration(d.maybe(keepdims=True), [(d.integer(1, 3), *d.sizes(rank, 1, 6), d.integer(1, 5))])

    return draw


def adaptive(rank: int) -> Family:
    def draw(d: Draw) -> Configuration:
        sizes = d.sizes(rank, 3, 9 if rank < 3 else 6)
        # Keras pools by windows one longer than the shorter ones: those must still fit.
        outputs = [d.integer(2, size) for size in sizes]
        return Configuration({"output_size": outputs}, [(d.integer(1, 3), *sizes, d.integer(1, 4))])

    return draw


def border(rank: int, option: str) -> Family:
    def draw(d: Draw) -> Configuration:
        kinds: list[Any] = [d.integer(0, 2), [[d.integer(0, 2), d.integer(0, 2)] for _ in range(rank)]]
        value = kinds[1][0] if rank == 1 and d.integer(0, 1) else d.choice(kinds)
        value = value if rank > 1 or isinstance(value, int) or not isinstance(value[0], list) else value[0]
        return Configuration({option: value}, [(d.integer(1, 3), *d.sizes(rank, 5, 7), d.integer(1, 4))])

    return draw


def up_sampling(rank: int) -> Family:
    def draw(d: Draw) -> Configuration:
        size: Any = d.integer(1, 4) if rank == 1 else d.sizes(rank, 1, 4 if rank < 3 else 3)
        more = {} if rank != 2 else {"interpolation": d.choice(("nearest", "bilinear", "bilinear", "bicubic"))}
        return Configuration({"size": size, **more}, [(d.integer(1, 3), *d.sizes(rank, 2, 5), d.integer(1, 3))])

    return draw


def anything(low: int = 1, high: int = 4, **options: Callable[[Draw], Any]) -> Family:
    """A layer for inputs of any rank; each option may be left out."""

    def draw(d: Draw) -> Configuration:
        shape = (d.integer(1, 4), *d.sizes(d.integer(low, high), 1, 6))
        return Configuration(d.maybe(**{name: value(d) for name, value in options.items()}), [shape])

    return draw


def needing(option: str, value: Callable[[Draw], Any], low: int = 1, high: int = 4) -> Family:
    def draw(d: Draw) -> Configuration:
        return Configuration({option: value(d)}, [(d.integer(1, 4), *d.sizes(d.integer(low, high), 1, 6))])

    return draw


def dense(d: Draw) -> Configuration:
    options = {"units": d.integer(1, 20), "activation": d.choice(ACTIVATIONS), **d.maybe(use_bias=False)}
    return Configuration(options, [(d.integer(1, 4), *d.sizes(d.integer(0, 3), 1, 5), d.integer(1, 20))])


def einsum_dense(d: Draw) -> Configuration:
    b, n, m, k = d.sizes(4, 1, 6)
    equation, output, shape, axes = d.choice([
        ("ab,bc->ac", m, (b, n), "c"), ("abc,cd->abd", [None, m], (b, n, k), "d"),
        ("...x,xy->...y", m, (b, n, k), "y"), ("abc,cde->abde", [None, m, 2], (b, n, k), "de"),
        ("abcd,cde->abe", [None, m], (b, n, k, 2), "e"), ("abc,bcd->abd", [n, m], (b, n, k), "bd"),
        ("abc,bc->abc", [n, k], (b, n, k), "bc"), ("abc,cd->acd", [k, m], (b, n, k), "d"),
        ("ab...,bc->ac...", m, (b, n, k, 2), "c"), ("abc,bd->adc", [m, k], (b, n, k), "d"),
        ("abcd,bde->aceb", [k, m, n], (b, n, k, 3), "e")])
    options = {"equation": equation, "output_shape": output, "activation": d.choice(("relu", "tanh", None)),
               **d.maybe(bias_axes=axes)}
    return Configuration(options, [shape])


def embedding(d: Draw) -> Configuration:
    rows = d.integer(1, 30)
    shape = (d.integer(1, 5), *d.sizes(d.integer(1, 2), 1, 6))
    return Configuration({"input_dim": rows, "output_dim": d.integer(1, 40)}, [shape], rows)


def reversible_embedding(d: Draw) -> Configuration:
    rows, width = d.integer(1, 30), d.integer(1, 20)
    lead = (d.integer(1, 5), *d.sizes(d.integer(0, 2), 1, 6))
    options = {"input_dim": rows, "output_dim": width, **d.maybe(tie_weights=False),
               **d.maybe(logit_soft_cap=d.number(0.2, 3))}
    if d.integer(0, 2):
        return Configuration(options, [(*lead, width)], arguments={"reverse": True})
    return Configuration(options, [(*lead, 3)], rows)


def merging(least: int, most: int) -> Family:
    def draw(d: Draw) -> Configuration:
        batch, sizes = d.integer(1, 4), d.sizes(d.integer(1, 3), 2, 5)
        shapes = [(batch, *sizes)] + [(batch, *(d.choice((size, size, 1)) for size in sizes))
                                      for _ in range(d.integer(least, most) - 1)]
        return Configuration({}, shapes)

    return draw


def concatenate(d: Draw) -> Configuration:
    batch, sizes = d.integer(1, 4), d.sizes(d.integer(1, 3), 1, 5)
    axis = d.integer(1, len(sizes))
    shapes = [(batch, *(d.integer(1, 5) if place == axis else size for place, size in enumerate(sizes, 1)))
              for _ in range(d.integer(2, 4))]
    return Configuration({"axis": d.choice((axis, axis - len(sizes) - 1))}, shapes)


def dot(d: Draw) -> Configuration:
    batch, left, right = d.integer(1, 4), d.sizes(d.integer(1, 3), 1, 5), d.sizes(d.integer(1, 2), 1, 5)
    axes = [d.integer(1, len(left)), d.integer(1, len(right))]
    right[axes[1] - 1] = left[axes[0] - 1]
    return Configuration({"axes": axes[0] if axes[0] == axes[1] else axes, **d.maybe(normalize=True)},
                         [(batch, *left), (batch, *right)])


def reshape(d: Draw) -> Configuration:
    sizes = d.sizes(3, 1, 4)
    target = [sizes[2] * sizes[0], sizes[1]]
    if d.integer(0, 1):
        target[d.integer(0, 1)] = -1
    return Configuration({"target_shape": target}, [(d.integer(1, 3), *sizes)])


def permute(d: Draw) -> Configuration:
    rank = d.integer(1, 4)
    left, dims = list(range(1, rank + 1)), []
    while left:
        dims.append(left.pop(d.integer(0, len(left) - 1)))
    return Configuration({"dims": dims}, [(d.integer(1, 3), *d.sizes(rank, 1, 20 if rank < 4 else 5))])


def along(rank_least: int = 1, *, last: bool = False, **more: Callable[[Draw], Any]) -> Family:
    """A layer with an `axis`: one dimension or several, or only the last."""

    def draw(d: Draw) -> Configuration:
        sizes = d.sizes(d.integer(rank_least, 3), 1, 6)
        axis = d.integer(1, len(sizes))
        several = sorted({axis, d.integer(1, len(sizes))})
        value = d.choice((axis, axis - len(sizes) - 1, several)) if not last else d.choice((-1, len(sizes)))
        return Configuration({"axis": value, **d.maybe(**{name: value(d) for name, value in more.items()})},
                             [(d.integer(1, 4), *sizes)])

    return draw


def group_normalization(d: Draw) -> Configuration:
    groups, size = d.integer(1, 4), d.integer(1, 4)
    options = {"groups": d.choice((groups, 1, -1)), "epsilon": d.number(0.001, 0.1),
               **d.maybe(center=False), **d.maybe(scale=False)}
    return Configuration(options, [(d.integer(1, 4), *d.sizes(d.integer(1, 2), 2, 5), groups * size)])


def normalization(d: Draw) -> Configuration:
    channels = d.integer(1, 5)
    options: dict[str, Any] = {**d.maybe(invert=True)}
    kind = d.integer(0, 2)
    if kind == 0:
        options |= {"mean": d.number(-2, 2), "variance": d.number(0.1, 3)}
    elif kind == 1:
        options |= {"mean": [d.number(-2, 2) for _ in range(channels)],
                    "variance": [d.number(0.1, 3) for _ in range(channels)]}
    return Configuration({"axis": -1, **options}, [(d.integer(1, 4), *d.sizes(d.integer(0, 2), 1, 4), channels)])


def p_relu(d: Draw) -> Configuration:
    sizes = d.sizes(d.integer(1, 3), 1, 6)
    shared = [axis for axis in range(1, len(sizes) + 1) if d.integer(0, 1)]
    return Configuration({"alpha_initializer": "ones", **d.maybe(shared_axes=shared or None)},
                         [(d.integer(1, 4), *sizes)])


def activation(d: Draw) -> Configuration:
    return Configuration({"activation": d.choice((*ACTIVATIONS[:-2], "selu", "mish", "hard_silu", "log_softmax"))},
                         [(d.integer(1, 4), *d.sizes(d.integer(1, 3), 1, 6))])


def resizing(d: Draw) -> Configuration:
    kept = d.choice(({}, {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True, "fill_value": d.number(-1, 1)}))
    method = d.choice(("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", "area"))
    options = {"height": d.integer(1, 12), "width": d.integer(1, 12), "interpolation": method, **kept,
               **d.maybe(antialias=True)}
    return Configuration(options, [(d.integer(1, 3), *d.sizes(2, 2, 11), d.integer(1, 4))])


def center_crop(d: Draw) -> Configuration:
    return Configuration({"height": d.integer(1, 6), "width": d.integer(1, 6)},
                         [(d.integer(1, 3), *d.sizes(2, 3, 9), d.integer(1, 4))])


def encoding(d: Draw, mode: str) -> list[tuple[int, ...]]:
    """A shape that the mode takes."""
    batch = d.integer(1, 4)
    if mode in ("one_hot", "int"):
        return [(batch, *d.sizes(d.integer(0, 2), 1, 4), d.choice((1, 3)))]
    return [(batch, d.integer(1, 7))]


def category_encoding(d: Draw) -> Configuration:
    mode, tokens = d.choice(("one_hot", "multi_hot", "count")), d.integer(1, 9)
    return Configuration({"num_tokens": tokens, "output_mode": mode}, encoding(d, mode), tokens)


def discretization(d: Draw) -> Configuration:
    mode = d.choice(("int", "one_hot", "multi_hot", "count"))
    bounds = sorted(d.number(-1, 1) for _ in range(d.integer(1, 6)))
    return Configuration({"bin_boundaries": bounds, "output_mode": mode}, encoding(d, mode))


def integer_lookup(d: Draw) -> Configuration:
    mode = d.choice(("int", "one_hot", "multi_hot", "count"))
    words = list(dict.fromkeys(d.sizes(d.integer(1, 6), 1, 12)))
    options: dict[str, Any] = {"vocabulary": words, "output_mode": mode, **d.maybe(mask_token=0)}
    if mode == "int" and d.integer(0, 2) == 0:
        options |= {"invert": True, "oov_token": 99}
    if d.integer(0, 1):
        options |= {"max_tokens": len(words) + 2 + d.integer(0, 2), "pad_to_max_tokens": bool(d.integer(0, 1))}
    return Configuration(options, encoding(d, mode), 14)


def _cell(d: Draw, name: str) -> dict[str, Any]:
    """Options of a recurrent layer's cell: mostly such as the quick step knows."""
    options: dict[str, Any] = {"units": d.choice((1, 3, 5, 16, 21)), **d.maybe(use_bias=False)}
    if d.integer(0, 2) == 0:
        options["activation"] = d.choice(("relu", "linear", "softsign", "sigmoid"))
    if name.startswith("GRU"):
        options["reset_after"] = bool(d.integer(0, 2))
    if not name.startswith("SimpleRNN") and d.integer(0, 3) == 0:
        options["recurrent_activation"] = d.choice(("hard_sigmoid", "tanh"))
    return options


def _series(d: Draw) -> tuple[int, ...]:
    return (d.integer(1, 9), d.integer(1, 6), d.integer(1, 6))


def recurrent(name: str) -> Family:
    """With masks, initial states and all of the outputs."""

    def draw(d: Draw) -> Configuration:
        shape, options = _series(d), {**_cell(d, name), **d.maybe(return_sequences=True), **d.maybe(go_backwards=True),
                                      **d.maybe(return_state=True), **d.maybe(unroll=True)}
        states = [(shape[0], options["units"])] * (2 if name == "LSTM" else 1) if d.integer(0, 2) == 0 else []
        return Configuration(options, [shape, *states], masked=(0,) if d.integer(0, 1) else ())

    return draw


def rnn(d: Draw) -> Configuration:
    names = [d.choice(("SimpleRNNCell", "LSTMCell", "GRUCell")) for _ in range(d.integer(1, 3))]
    cells = [{"type": name, **_cell(d, name)} for name in names]
    cell = cells[0] if len(cells) == 1 else {"type": "StackedRNNCells", "cells": cells}
    return Configuration({"cell": cell, **d.maybe(return_sequences=True), **d.maybe(go_backwards=True),
                          **d.maybe(zero_output_for_mask=True)}, [_series(d)], masked=(0,) if d.integer(0, 1) else ())


def conv_lstm(rank: int) -> Family:
    """With masks and initial states; kernels are strided or, but in volumes, dilated."""

    def draw(d: Draw) -> Configuration:
        shape = [d.integer(1, 3), d.integer(1, 4), *d.sizes(rank, 3, 6 if rank < 3 else 4), d.integer(1, 3)]
        options = {"filters": d.integer(1, 4), **_window(d, shape[2:-1], ("valid", "same"), equal=False),
                   **d.maybe(use_bias=False, return_sequences=True, go_backwards=True, return_state=True,
                             unit_forget_bias=False, zero_output_for_mask=True, activation="relu",
                             recurrent_activation="hard_sigmoid")}
        if rank == 3:
            options.pop("dilation_rate", None)
        states = []
        if d.integer(0, 2) == 0:
            options |= {"padding": "same", "strides": [1] * rank}
            states = [(shape[0], *shape[2:-1], options["filters"])] * 2
        return Configuration(options, [tuple(shape), *states], masked=(0,) if d.integer(0, 1) else ())

    return draw


def bidirectional(d: Draw) -> Configuration:
    name = d.choice(("SimpleRNN", "LSTM", "GRU"))
    shared = {**d.maybe(return_sequences=True), **d.maybe(return_state=True)}
    layer = {"type": name, **_cell(d, name), **shared}
    options: dict[str, Any] = {"layer": layer, "merge_mode": d.choice(("concat", "sum", "mul", "ave", None))}
    if d.integer(0, 2) == 0:
        other = d.choice(("SimpleRNN", "LSTM", "GRU"))
        options["backward_layer"] = {"type": other, **_cell(d, other), "units": layer["units"], **shared,
                                     "go_backwards": True}
    return Configuration(options, [_series(d)], masked=(0,) if d.integer(0, 1) else ())


def time_distributed(d: Draw) -> Configuration:
    batch, steps, height, width, channels = d.sizes(5, 1, 5)
    layer, shape = d.choice([
        ({"type": "Dense", "units": width, "activation": d.choice(ACTIVATIONS)}, (height, channels)),
        ({"type": "Conv2D", "filters": width, "kernel_size": 2, "padding": "same"}, (height, width, channels)),
        ({"type": "LSTM", "units": width}, (height, channels)), ({"type": "Flatten"}, (height, width)),
        ({"type": "LayerNormalization"}, (channels,)), ({"type": "Activation", "activation": "softmax"}, (channels,))])
    return Configuration({"layer": layer}, [(batch, steps, *shape)])


def _attended(d: Draw, *, like_query: bool) -> list[tuple[int, ...]]:
    """Query, value and perhaps the key."""
    batch, rows, columns, features, others = d.sizes(5, 1, 6)
    value = (batch, columns, features if like_query else others)
    key = [(batch, columns, features if like_query else d.integer(1, 6))]
    return [(batch, rows, features), value, *(key if d.integer(0, 1) else [])]


def _masks(d: Draw, count: int) -> tuple[int, ...]:
    return tuple(place for place in range(min(2, count)) if d.integer(0, 2) == 0)


def attention(**more: Callable[[Draw], Any]) -> Family:
    def draw(d: Draw) -> Configuration:
        shapes = _attended(d, like_query=True)
        return Configuration({**d.maybe(**{name: value(d) for name, value in more.items()}), **d.maybe(dropout=0.3)},
                             shapes, arguments={**d.maybe(use_causal_mask=True), **d.maybe(
                                 return_attention_scores=True)}, masked=_masks(d, len(shapes)))

    return draw


def multi_head_attention(d: Draw) -> Configuration:
    options = {"num_heads": d.integer(1, 4), "key_dim": d.integer(1, 6),
               **d.maybe(value_dim=d.integer(1, 6)), **d.maybe(output_shape=d.integer(1, 8)), **d.maybe(dropout=0.3),
               **d.maybe(use_gate=True), **d.maybe(use_bias=False)}
    if d.integer(0, 4) == 0:  # over dimensions of its own
        batch, rows, columns, steps, features = d.sizes(5, 1, 4)
        axes = d.choice(([2], [1], [1, 2]))
        other = (batch, steps if 1 in axes else rows, steps if 2 in axes else columns, features)
        return Configuration({**options, "attention_axes": axes}, [(batch, rows, columns, features), other])
    shapes = _attended(d, like_query=False)
    return Configuration({**options, **d.maybe(sliding_window=d.integer(1, 3))}, shapes,
                         arguments={**d.maybe(use_causal_mask=True), **d.maybe(return_attention_scores=True)},
                         masked=_masks(d, len(shapes)))


def group_query_attention(d: Draw) -> Configuration:
    """With heads of two features at least: of one, Keras 3.15 multiplies wrongly on TensorFlow."""
    shared = d.integer(1, 3)
    options = {"head_dim": d.integer(2, 5), "num_query_heads": shared * d.integer(1, 3), "num_key_value_heads": shared,
               **d.maybe(dropout=0.3), **d.maybe(use_gate=True), **d.maybe(use_bias=False),
               **d.maybe(sliding_window=d.integer(1, 3))}
    shapes = _attended(d, like_query=True)
    return Configuration(options, shapes, arguments={**d.maybe(use_causal_mask=True), **d.maybe(
        return_attention_scores=True)}, masked=_masks(d, len(shapes)))


def stft_spectrogram(d: Draw) -> Configuration:
    """Without a window's name, for which Keras asks scipy: the kernels are drawn anyway."""
    frame = d.integer(3, 9)
    options = {"mode": d.choice(("log", "magnitude", "psd", "real", "imag", "stft")), "frame_length": frame,
               "window": None, "padding": d.choice(("valid", "same")), **d.maybe(frame_step=d.integer(1, frame)),
               **d.maybe(fft_length=16), **d.maybe(expand_dims=True)}
    return Configuration(options, [(d.integer(1, 3), d.integer(10, 24), d.integer(1, 3))])


def mel_spectrogram(d: Draw) -> Configuration:
    size = d.choice((8, 16, 32))
    options = {"fft_length": size, "sequence_stride": d.integer(2, 9), "num_mel_bins": d.integer(1, 6),
               **d.maybe(sequence_length=size - 3), **d.maybe(window="hamming"), **d.maybe(power_to_db=False),
               **d.maybe(mag_exp=1.0), **d.maybe(sampling_rate=8000), **d.maybe(top_db=d.number(3, 20)),
               **d.maybe(ref_power=0.3), **d.maybe(min_freq=0.0)}
    return Configuration(options, [(d.integer(1, 3), d.integer(20, 60))])


RATE: dict[str, Callable[[Draw], Any]] = {"rate": lambda d: d.number(0, 0.9)}
CAUSAL = ("valid", "same", "causal")

LAYERS: dict[str, Family] = {
    "Conv1D": convolution(1, CAUSAL), "Conv2D": convolution(2), "Conv3D": convolution(3),
    "Conv1DTranspose": transposed(1), "Conv2DTranspose": transposed(2), "Conv3DTranspose": transposed(3),
    "SeparableConv1D": separable(1), "SeparableConv2D": separable(2),
    "DepthwiseConv1D": depthwise(1), "DepthwiseConv2D": depthwise(2),
    **{f"{kind}Pooling{rank}D": pooling(rank) for kind in ("Max", "Average") for rank in (1, 2, 3)},
    **{f"Global{kind}Pooling{rank}D": global_pooling(rank) for kind in ("Max", "Average") for rank in (1, 2, 3)},
    **{f"Adaptive{kind}Pooling{rank}D": adaptive(rank) for kind in ("Max", "Average") for rank in (1, 2, 3)},
    **{f"ZeroPadding{rank}D": border(rank, "padding") for rank in (1, 2, 3)},
    **{f"Cropping{rank}D": border(rank, "cropping") for rank in (1, 2, 3)},
    **{f"UpSampling{rank}D": up_sampling(rank) for rank in (1, 2, 3)},
    "Resizing": resizing, "CenterCrop": center_crop, "CategoryEncoding": category_encoding,
    "Discretization": discretization, "IntegerLookup": integer_lookup,
    "STFTSpectrogram": stft_spectrogram, "MelSpectrogram": mel_spectrogram,
    "Dense": dense, "EinsumDense": einsum_dense, "Embedding": embedding,
    "ReversibleEmbedding": reversible_embedding,
    "Masking": anything(2, 4, mask_value=lambda d: d.number(-1, 1)),
    "LayerNormalization": along(1, epsilon=lambda d: d.number(0.001, 0.1), center=lambda d: False,
                                scale=lambda d: False),
    "RMSNormalization": along(1, last=True, epsilon=lambda d: d.number(0.001, 0.1)),
    "GroupNormalization": group_normalization,
    "UnitNormalization": along(), "Softmax": along(2), "Normalization": normalization,
    "Rescaling": needing("scale", lambda d: d.number(-2, 2)),
    "Dropout": needing("rate", lambda d: d.number(0, 0.9)), "AlphaDropout": needing("rate", lambda d: d.number(0, 0.9)),
    "GaussianDropout": needing("rate", lambda d: d.number(0, 0.9)),
    "GaussianNoise": needing("stddev", lambda d: d.number(0, 0.9)),
    **{f"SpatialDropout{rank}D": needing("rate", lambda d: d.number(0, 0.9), rank + 1, rank + 1)
       for rank in (1, 2, 3)},
    "ActivityRegularization": anything(l1=lambda d: d.number(0, 0.1), l2=lambda d: d.number(0, 0.1)),
    "Activation": activation, "PReLU": p_relu,
    "ELU": anything(alpha=lambda d: d.number(0.1, 2)), "LeakyReLU": anything(negative_slope=lambda d: d.number(0, 1)),
    "ReLU": anything(max_value=lambda d: d.choice((1.0, 6.0, 0.5)), negative_slope=lambda d: d.number(0, 0.5),
                     threshold=lambda d: d.number(0, 0.4)),
    "Add": merging(2, 4), "Subtract": merging(2, 2), "Multiply": merging(2, 4), "Average": merging(2, 4),
    "Maximum": merging(2, 4), "Minimum": merging(2, 4), "Concatenate": concatenate, "Dot": dot,
    "Flatten": anything(), "Identity": anything(), "Reshape": reshape, "Permute": permute,
    "SimpleRNN": recurrent("SimpleRNN"), "LSTM": recurrent("LSTM"), "GRU": recurrent("GRU"), "RNN": rnn,
    **{f"ConvLSTM{rank}D": conv_lstm(rank) for rank in (1, 2, 3)},
    "Bidirectional": bidirectional, "TimeDistributed": time_distributed,
    "Attention": attention(use_scale=lambda d: True, score_mode=lambda d: "concat"),
    "AdditiveAttention": attention(use_scale=lambda d: False),
    "MultiHeadAttention": multi_head_attention, "GroupQueryAttention": group_query_attention,
    "RepeatVector": needing("n", lambda d: d.integer(1, 5), 1, 1),
}


def configurations(layer: str) -> list[Configuration]:
    """The layer's configurations."""
    return [LAYERS[layer](Draw(f"{layer}/{number}")) for number in range(COUNT)]


def keys(variables: Sequence[str]) -> list[str]:
    """A key for each of a layer's variables, by the last part of its name: kernel, and the next kernel is kernel.1."""
    found: list[str] = []
    for variable in variables:
        last = variable.rpartition("/")[2]
        before = sum(key.partition(".")[0] == last for key in found)
        found.append(f"{last}.{before}" if before else last)
    return found
