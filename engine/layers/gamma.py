"""Gamma, beta and Dirichlet numbers in the graph, from normal and uniform ones, by a fixed number of tries."""

from __future__ import annotations

from engine.graph.ir import GraphBuilder, Value
from engine.layers.pictures import Draws
from engine.types import Dim, Shape

TRIES = 8
"""One is refused with less than 5 % (Marsaglia and Tsang, 2000, table 1), so all of them once in 10^10."""
SMALLEST = 2.0**-25
STREAMS = 3
"""What an array of gamma numbers takes of a layer's draws."""


def log_gamma(b: GraphBuilder, x: Value, draws: Draws, alpha: Value, shape: Shape) -> Value:
    """Logarithms of gamma numbers of scale 1; alpha above 0. x says how many examples there are.

    A number for alpha + 1 (Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26, 2000)
    times u^(1 / alpha) is one for alpha (their section 6); the logarithm stays in range where alpha is near 0.
    """
    tries = (*shape, TRIES)
    normal, uniform = draws.normal(x, 1.0, tries), draws.uniform(x, 0, 1, tries)
    d = b.op("scale", alpha, offset=2 / 3)
    c = b.op("divide", b.constant(1 / 3), b.op("sqrt", d))
    root = b.op("scale", b.op("multiply", normal, c), offset=1.0)
    v = b.op("multiply", root, b.op("square", root))
    safe = b.op("clip", v, low=SMALLEST, high=1e30)
    bound = b.op("multiply", d, b.op("add", b.op("scale", v, factor=-1.0, offset=1.0), b.op("log", safe)))
    bound = b.op("add", bound, b.op("scale", b.op("square", normal), factor=0.5))
    fits = b.op("greater", bound, b.op("log", b.op("clip", uniform, low=SMALLEST, high=1.0)))
    fits = b.op("multiply", fits, b.op("greater", v, b.constant(0.0)))
    found = b.constant(0.0)
    for place in reversed(range(TRIES)):
        one, value = (b.op("slice", each, axis=len(shape), start=place, stop=place + 1)
                      for each in (fits, b.op("log", safe)))
        found = b.op("where", one, value, found)
    smaller = b.op("log", b.op("clip", draws.uniform(x, 0, 1, shape), low=SMALLEST, high=1.0))
    large = b.op("add", b.op("reshape", found, shape=shape), b.op("log", d))
    return b.op("add", large, b.op("divide", smaller, alpha))


def beta(b: GraphBuilder, x: Value, draws: Draws, alpha: Value, lead: Dim) -> Value:
    """(lead, 1, 1, 1) numbers between 0 and 1 of the beta distribution with alpha twice."""
    shape = (lead, 1, 1, 2)
    both = log_gamma(b, x, draws, alpha, shape)
    first, second = (b.op("slice", both, axis=len(shape) - 1, start=place, stop=place + 1) for place in range(2))
    return b.op("sigmoid", b.op("subtract", first, second))
