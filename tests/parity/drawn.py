"""Configurations of layers, drawn from a seed: the same here and in Keras's environment. Only numpy is imported.

`configurations(name)` gives what Keras is asked for and what is compared: options as keyword arguments, the inputs'
shapes with the batch, and below which number inputs are whole.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

COUNT = 20
"""Configurations of every layer."""


class Configuration(NamedTuple):
    options: dict[str, Any]
    shapes: list[tuple[int, ...]]
    integers: int | None = None


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
    "Dense": dense, "EinsumDense": einsum_dense, "Embedding": embedding,
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
    "RepeatVector": needing("n", lambda d: d.integer(1, 5), 1, 1),
}


def configurations(layer: str) -> list[Configuration]:
    """The layer's configurations."""
    return [LAYERS[layer](Draw(f"{layer}/{number}")) for number in range(COUNT)]
