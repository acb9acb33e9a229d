"""Values between the positions of a dimension, as TensorFlow's image resizing on a CPU finds them.

Positions are centres: output o of `count` lies at (o + 0.5) * size / count - 0.5 of the input.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from engine.graph.ir import GraphBuilder, Value
from engine.ops.resample import Taps

STEPS = 1024
"""TensorFlow takes cubic weights from a table of so many steps between two positions."""


def _triangle(distance: float) -> float:
    return max(0.0, 1.0 - distance)


def _cubic(distance: float) -> float:
    """Keys (1981) with a = -1/2."""
    if distance < 1:
        return (1.5 * distance - 2.5) * distance * distance + 1
    return ((-0.5 * distance + 2.5) * distance - 4) * distance + 2 if distance < 2 else 0.0


def _lanczos(radius: int) -> Callable[[float], float]:
    def weight(distance: float) -> float:
        if distance >= radius:
            return 0.0
        angle = math.pi * distance
        return radius * math.sin(angle) * math.sin(angle / radius) / angle**2 if distance > 1e-8 else 1.0

    return weight


INTERPOLATIONS: dict[str, tuple[int, Callable[[float], float]]] = {
    "nearest": (0, lambda distance: 1.0), "bilinear": (1, _triangle), "bicubic": (2, _cubic),
    "lanczos3": (3, _lanczos(3)), "lanczos5": (5, _lanczos(5)),
}
"""The radius in input positions and the weight at a distance."""


METHODS = (*INTERPOLATIONS, "area")
"""All that images are resized by; `area` weighs every position by how much of it an output covers."""


def taps(size: int, count: int, method: str, *, antialias: bool = False) -> Taps:
    """Which of `size` positions each of `count` outputs reads. Weights of positions outside go to those inside.

    With `antialias` the weights of a smaller output reach as far as its positions are apart.
    """
    step = float(np.float32(size) / np.float32(count))
    if method == "area":
        return tuple(_covered(place * step, (place + 1) * step, size, step) for place in range(count))
    radius, weigh = INTERPOLATIONS[method]
    stretch = max(1.0, size / count) if antialias else 1.0
    found: list[tuple[tuple[int, float], ...]] = []
    for place in range(count):
        if not radius:
            found.append(((min(size - 1, math.floor(np.float32(place + 0.5) * np.float32(step))), 1.0),))
            continue
        centre = (place + 0.5) * size / count - 0.5
        if method == "bicubic" and not antialias:
            centre = math.floor(centre) + round((centre - math.floor(centre)) * STEPS) / STEPS
        reach = range(math.ceil(centre - radius * stretch), math.floor(centre + radius * stretch) + 1)
        weights = {source: weigh(abs(source - centre) / stretch) for source in reach if 0 <= source < size}
        total = sum(weights.values())
        found.append(tuple((source, weight / total) for source, weight in weights.items() if weight))
    return tuple(found)


def _covered(start: float, end: float, size: int, step: float) -> tuple[tuple[int, float], ...]:
    """The positions between two points, the parts of the first and the last one that lie between."""
    parts = {place: min(place + 1, end) - max(place, start) for place in range(math.floor(start), math.ceil(end))}
    return tuple((place, part / step) for place, part in parts.items() if place < size and part > 0)


def interpolate(b: GraphBuilder, x: Value, axis: int, count: int, method: str, *, antialias: bool = False) -> Value:
    """`count` positions in the place of those of dimension `axis`."""
    if x.shape[axis] == count:
        return x
    return b.op("resample", x, axis=axis, taps=taps(x.shape[axis], count, method, antialias=antialias))
