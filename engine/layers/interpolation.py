"""Values between the positions of a dimension, as TensorFlow's image resizing without antialiasing finds them.

Positions are centres: output o of `count` lies at (o + 0.5) * size / count - 0.5 of the input.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from engine.graph.ir import GraphBuilder, Value
from engine.ops.resample import Taps


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


def taps(size: int, count: int, method: str) -> Taps:
    """Which of `size` positions each of `count` outputs reads. Weights of positions outside go to those inside."""
    radius, weigh = INTERPOLATIONS[method]
    found: list[tuple[tuple[int, float], ...]] = []
    for place in range(count):
        centre = (place + 0.5) * size / count - 0.5
        if not radius:
            found.append(((min(size - 1, math.floor(centre + 0.5)), 1.0),))
            continue
        reach = range(math.ceil(centre - radius), math.floor(centre + radius) + 1)
        weights = {source: weigh(abs(source - centre)) for source in reach if 0 <= source < size}
        total = sum(weights.values())
        found.append(tuple((source, weight / total) for source, weight in weights.items() if weight))
    return tuple(found)


def interpolate(b: GraphBuilder, x: Value, axis: int, count: int, method: str) -> Value:
    """`count` positions in the place of those of dimension `axis`."""
    return x if x.shape[axis] == count else b.op("resample", x, axis=axis, taps=taps(x.shape[axis], count, method))
