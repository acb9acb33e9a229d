"""Windows that move over an image: what convolutions and poolings share."""

from __future__ import annotations

from typing import Any

from engine.options import Reader, choice

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]

_known_padding = choice("valid", "same")


def _padding(value: Any, pointer: str) -> str:
    # Keras reads the word in any case.
    return str(_known_padding(value.lower() if isinstance(value, str) else value, pointer))


padding_mode = Reader(_padding, _known_padding.schema)


def window_padding(mode: str, size: Pair, window: Pair, strides: Pair, dilation: Pair = (1, 1)) -> Padding:
    """Rows and columns to add around an image so that `same` gives ceil(size / stride) positions.

    Where their number is odd, the extra one goes below or to the right, as in TensorFlow and Keras.
    """
    if mode == "valid":
        return (0, 0), (0, 0)
    return tuple(_same(*along) for along in zip(size, window, strides, dilation, strict=True))  # type: ignore[return-value]


def _same(size: int, window: int, stride: int, dilation: int) -> Pair:
    positions = -(-size // stride)
    total = max((positions - 1) * stride + (window - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2
