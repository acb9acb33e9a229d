"""A curve drawn with block characters, and a plain sparkline."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"


def curve(values: Sequence[float], width: int, height: int = 1) -> list[str]:
    """`height` lines of at most `width` characters, the newest value at the right; eight levels a line.

    Values are averaged down to the width; those that are not finite leave a gap.
    """
    points = thin(values, width)
    finite = [point for point in points if math.isfinite(point)]
    if not finite:
        return [""] * height
    low, high = min(finite), max(finite)
    span = high - low or 1.0
    levels = [1 + round((point - low) / span * (8 * height - 1)) if math.isfinite(point) else 0 for point in points]
    return ["".join(BLOCKS[min(max(level - 8 * line, 0), 8)] for level in levels) for line in reversed(range(height))]


def thin(values: Sequence[float], width: int) -> list[float]:
    """At most `width` values: each the mean of a stretch of equal length."""
    if len(values) <= width:
        return list(values)
    edges = [round(index * len(values) / width) for index in range(width + 1)]
    return [sum(values[start:stop]) / (stop - start) for start, stop in itertools.pairwise(edges)]
