"""Arithmetic of windows that slide over an image: sizes, and how gradients come back through strides and dilation."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

Pair = tuple[int, int]


def output_size(size: int, kernel: int, stride: int, dilation: int, padding: Pair) -> int:
    """Positions that a kernel takes along one dimension."""
    return (size + sum(padding) - (kernel - 1) * dilation - 1) // stride + 1


@dataclass(frozen=True)
class Phase:
    """Input positions `first`, `first + stride`, … of one dimension, and the taps that reach them.

    Position number i takes output position `base + i + t * reach` for tap number t of `taps`; tap t is entry
    `tap + t * step` of the flipped kernel. Output positions outside the range are the halo's zeros. Without taps the
    gradient is zero.
    """

    first: int
    count: int
    base: int
    taps: int
    tap: int
    step: int
    reach: int


def phases(size: int, kernel: int, stride: int, dilation: int, before: int) -> list[Phase]:
    """How gradients come back along one dimension of `size` positions, padded by `before` in front.

    A position meets the taps t with `first + before = output * stride + t * dilation`: of these every
    `stride / gcd(stride, dilation)`-th one.
    """
    common = gcd(stride, dilation)
    step, reach = stride // common, dilation // common
    found = []
    for residue in range(stride):
        first = (residue - before) % stride
        start = next((tap for tap in range(min(step, kernel)) if (tap * dilation - residue) % stride == 0), kernel)
        taps = len(range(start, kernel, step))
        last = start + step * (taps - 1)
        base = (first + before - last * dilation) // stride if taps else 0
        found.append(Phase(first, len(range(first, size, stride)), base, taps, kernel - 1 - last, step, reach))
    return [phase for phase in found if phase.count]


def halo(size: int, kernel: int, stride: int, dilation: int, before: int, outputs: int) -> Pair:
    """Zeros needed in front of and behind `outputs` positions, so that no phase reads outside."""
    front = back = 0
    for phase in phases(size, kernel, stride, dilation, before):
        if phase.taps:
            front = max(front, -phase.base)
            back = max(back, phase.base + phase.count - 1 + (phase.taps - 1) * phase.reach - (outputs - 1))
    return front, back
