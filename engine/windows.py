"""Arithmetic of windows that slide over an image: sizes, and how gradients come back through strides and dilation."""

from __future__ import annotations

from dataclasses import dataclass

Pair = tuple[int, int]


def output_size(size: int, kernel: int, stride: int, dilation: int, padding: Pair) -> int:
    """Positions that a kernel takes along one dimension."""
    return (size + sum(padding) - (kernel - 1) * dilation - 1) // stride + 1


@dataclass(frozen=True)
class Phase:
    """Input positions `first`, `first + stride`, … of one dimension, and the taps that reach them.

    Position number i takes output position `base + i + t` for tap number t of `taps`; tap t is entry
    `tap + t * step` of the flipped kernel. Output positions outside the range are the halo's zeros.
    """

    first: int
    count: int
    base: int
    taps: int
    tap: int
    step: int


def phases(size: int, kernel: int, stride: int, dilation: int, before: int) -> list[Phase]:
    """How gradients come back along one dimension of `size` positions, padded by `before` in front."""
    if stride == 1:
        return [Phase(0, size, before - (kernel - 1) * dilation, kernel, 0, 1)]
    found = []
    for residue in range(stride):
        first = (residue - before) % stride
        taps = max(0, -(-(kernel - residue) // stride))
        base = (first + before - residue) // stride - (taps - 1)
        found.append(
            Phase(
                first, len(range(first, size, stride)), base, taps, kernel - 1 - residue - stride * (taps - 1), stride
            )
        )
    return [phase for phase in found if phase.count]


def halo(size: int, kernel: int, stride: int, dilation: int, before: int, outputs: int) -> Pair:
    """Zeros needed in front of and behind `outputs` positions, so that no phase reads outside."""
    front = back = 0
    for phase in phases(size, kernel, stride, dilation, before):
        reach = dilation if stride == 1 else 1
        front = max(front, -phase.base)
        back = max(back, phase.base + phase.count - 1 + (phase.taps - 1) * reach - (outputs - 1))
    return front, back
