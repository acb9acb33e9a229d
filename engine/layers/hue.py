"""Saturation and hue of pictures in red, green and blue, by way of hue, saturation and value (Smith, 1978)."""

from __future__ import annotations

from engine.graph.ir import GraphBuilder, Value
from engine.layers.pictures import Range


def extremes(b: GraphBuilder, x: Value) -> tuple[Value, Value]:
    """The largest of an element's channels, and its distance from the smallest."""
    value = b.op("reduce_max", x, axes=(3,), keepdims=True)
    smallest = b.op("negative", b.op("reduce_max", b.op("negative", x), axes=(3,), keepdims=True))
    return value, b.op("subtract", value, smallest)


def _ratio(b: GraphBuilder, numerator: Value, denominator: Value) -> Value:
    """0 where the denominator is 0."""
    one = b.constant(1.0)
    safe = b.op("where", denominator, denominator, one)
    return b.op("where", denominator, b.op("divide", numerator, safe), b.constant(0.0))


def saturated(b: GraphBuilder, x: Value, share: Value, limits: Range) -> Value:
    """The saturation multiplied and then limited; grey stays grey.

    A channel lies value * saturation * (a part that its hue gives) below the value, so that distance is multiplied.
    """
    value, distance = extremes(b, x)
    saturation = _ratio(b, distance, value)
    wanted = b.op("clip", b.op("multiply", saturation, share), low=limits[0], high=limits[1])
    return b.op("subtract", value, b.op("multiply", b.op("subtract", value, x), _ratio(b, wanted, saturation)))


def turned(b: GraphBuilder, x: Value, turn: Value) -> Value:
    """The hue moved by parts of the circle, between -1 and 1; x within 0 and 1."""
    value, distance = extremes(b, x)
    hue = _wrapped(b, b.op("add", _hue(b, x, value, distance), turn))
    channels = []
    for first in (5.0, 3.0, 1.0):
        # Channel n of hue h: value - distance max(0, min(k, 4 - k, 1)) with k = (n + 6 h) mod 6.
        place = b.op("scale", hue, factor=6.0, offset=first)
        place = b.op("where", b.op("greater_equal", place, b.constant(6.0)), b.op("scale", place, offset=-6.0), place)
        below = b.op("minimum", place, b.op("scale", place, factor=-1.0, offset=4.0))
        channels.append(b.op("subtract", value, b.op("multiply", distance, b.op("clip", below, low=0.0, high=1.0))))
    return b.op("concatenate", *channels, axis=3)


def _hue(b: GraphBuilder, x: Value, value: Value, distance: Value) -> Value:
    """0 to 1."""
    red, green, blue = (b.op("slice", x, axis=3, start=place, stop=place + 1) for place in range(3))

    def sector(first: Value, second: Value, start: float) -> Value:
        return b.op("scale", _ratio(b, b.op("subtract", first, second), distance), factor=1 / 6, offset=start)

    found = b.op("where", b.op("equal", green, value), sector(blue, red, 1 / 3), sector(red, green, 2 / 3))
    return _wrapped(b, b.op("where", b.op("equal", red, value), sector(green, blue, 0.0), found))


def _wrapped(b: GraphBuilder, hue: Value) -> Value:
    """Within 0 and 1."""
    hue = b.op("where", b.op("greater", hue, b.constant(1.0)), b.op("scale", hue, offset=-1.0), hue)
    return b.op("where", b.op("greater", b.constant(0.0), hue), b.op("scale", hue, offset=1.0), hue)
