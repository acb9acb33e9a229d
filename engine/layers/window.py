"""Windows that move over one, two or three dimensions: what convolutions and poolings share.

Everything is computed by ops over images. A sequence (batch, steps, channels) is an image of height 1; a volume
(batch, depth, height, width, channels) is a batch of planes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.graph.ir import GraphBuilder, Value
from engine.layers.base import Layer, text
from engine.ops.base import ShapeMismatch
from engine.options import Mismatch, Reader, choice, option, spatial
from engine.types import times

Sizes = tuple[int, ...]
Pair = tuple[int, int]
Padding = tuple[Pair, ...]

LAYOUTS = {1: "(batch, steps, channels)", 2: "(batch, height, width, channels)",
           3: "(batch, depth, height, width, channels)"}


def _mode(*modes: str) -> Reader:
    known = choice(*modes)

    def read(value: Any, pointer: str) -> str:
        # Keras reads the word in any case.
        return str(known(value.lower() if isinstance(value, str) else value, pointer))

    return Reader(read, known.schema)


padding_mode = _mode("valid", "same")
causal_mode = _mode("valid", "same", "causal")


def window_padding(mode: str, size: Sizes, window: Sizes, strides: Sizes, dilation: Sizes | None = None) -> Padding:
    """What to add around each dimension so that `same` gives ceil(size / stride) positions.

    Where that is odd, the extra one goes behind, as in TensorFlow and Keras; `causal` puts everything in front.
    """
    dilation = dilation or (1,) * len(size)
    if mode == "valid":
        return ((0, 0),) * len(size)
    if mode == "causal":
        return tuple(((kernel - 1) * step, 0) for kernel, step in zip(window, dilation, strict=True))
    return tuple(_same(*along) for along in zip(size, window, strides, dilation, strict=True))


def _same(size: int, window: int, stride: int, dilation: int) -> Pair:
    positions = -(-size // stride)
    total = max((positions - 1) * stride + (window - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def expect_spatial(x: Value, rank: int) -> tuple[Sizes, int]:
    """The spatial sizes and the channels of a value with `rank` spatial dimensions. Raises ShapeMismatch."""
    if x.type.rank != rank + 2:
        raise ShapeMismatch(f"rank {rank + 2} {LAYOUTS[rank]}", text(x.shape))
    return tuple(x.shape[1:-1]), x.shape[-1]


def image(b: GraphBuilder, x: Value) -> Value:
    """A sequence as an image of height 1, a volume as its planes; an image as it is."""
    if x.type.rank == 3:
        return b.op("reshape", x, shape=(x.shape[0], 1, *x.shape[1:]))
    if x.type.rank == 5:
        return b.op("reshape", x, shape=(times(x.shape[0], x.shape[1]), *x.shape[2:]))
    return x


def flat(sizes: Sequence[Any], fill: Any) -> tuple[Any, ...]:
    """One setting for each spatial dimension as the op's two: `fill` stands for the height of a sequence."""
    return (fill, *sizes) if len(sizes) == 1 else tuple(sizes)


@dataclass(frozen=True, kw_only=True)
class Windows(Layer):
    """A layer whose kernel moves over `rank` dimensions: its size, steps and dilation."""

    rank: ClassVar[int]
    kernel_size: Sizes
    strides: Sizes
    dilation_rate: Sizes

    def check(self, pointer: str) -> None:
        """As in Keras, a kernel is either strided or dilated."""
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise Mismatch(f"{pointer}/dilation_rate", "1 where strides are above 1", list(self.dilation_rate))


@dataclass(frozen=True, kw_only=True)
class Windows1D(Windows):
    """Over steps."""

    rank = 1
    kernel_size: Sizes = option(spatial(1))
    strides: Sizes = option(spatial(1), default=(1,))
    dilation_rate: Sizes = option(spatial(1), default=(1,))


@dataclass(frozen=True, kw_only=True)
class Windows2D(Windows):
    """Over height and width."""

    rank = 2
    kernel_size: Sizes = option(spatial(2))
    strides: Sizes = option(spatial(2), default=(1, 1))
    dilation_rate: Sizes = option(spatial(2), default=(1, 1))


@dataclass(frozen=True, kw_only=True)
class Windows3D(Windows):
    """Over depth, height and width."""

    rank = 3
    kernel_size: Sizes = option(spatial(3))
    strides: Sizes = option(spatial(3), default=(1, 1, 1))
    dilation_rate: Sizes = option(spatial(3), default=(1, 1, 1))
