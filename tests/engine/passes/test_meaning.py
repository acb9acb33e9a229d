"""Passes and plans change how a graph is computed, never what: random graphs against their references."""

from __future__ import annotations

from functools import cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.graph.interpret import interpret
from engine.graph.ir import Graph, GraphBuilder, Value
from engine.lowering.plan import compile_plan
from engine.passes.pipeline import optimise
from engine.runtime.session import Session
from engine.runtime.threads import Workers
from engine.types import Batch, Type

UNARY = ("relu", "tanh", "sigmoid", "negative", "square", "softplus", "gelu", "elu", "silu", "abs")
BINARY = ("add", "subtract", "multiply", "maximum", "minimum")
BATCHES = (1, 5, 7)


class Draw:
    """Grows a graph from choices; every value keeps the shape (batch, height, width, channels)."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.b = GraphBuilder("fuzz")
        channels = data.draw(st.sampled_from([1, 2, 3, 5, 16, 17]))
        self.values: list[Value] = [self.b.input(name, Type((Batch(), 5, 4, channels))) for name in ("x", "y")]

    def any(self) -> Value:
        return self.data.draw(st.sampled_from(self.values))

    def step(self) -> None:
        kind = self.data.draw(st.sampled_from(
            ["unary", "binary", "binary", "bias", "conv", "pool", "average", "channel", "softmax", "number"]))
        x = self.any()
        height, width, channels = x.shape[1:]
        if kind == "unary":
            made = self.b.op(self.data.draw(st.sampled_from(UNARY)), x)
        elif kind == "binary":
            same = [value for value in self.values if value.shape == x.shape]
            made = self.b.op(self.data.draw(st.sampled_from(BINARY)), x, self.data.draw(st.sampled_from(same)))
        elif kind == "bias":
            made = self.b.op("add", x, self._parameter(channels))
        elif kind == "conv":
            filters = self.data.draw(st.sampled_from([1, 3, 16, 20]))
            kernel = self._parameter(3, 3, channels, filters)
            made = self.b.op("conv2d", x, kernel, padding=((1, 1), (1, 1)))
        elif kind == "pool" and min(height, width) > 1:
            made = self.b.apply("max_pool2d", x, pool=(2, 2), strides=(1, 1))[0]
        elif kind == "average" and min(height, width) > 1:
            made = self.b.op("average_pool2d", x, pool=(2, 2), strides=(1, 2))
        elif kind == "channel":
            made = self.b.op("multiply", x, self.b.op("reduce_mean", x, axes=(1, 2), keepdims=True))
        elif kind == "softmax":
            made = self.b.op("softmax", x)
        else:
            made = self.b.op("multiply", x, self.b.constant(self.data.draw(st.sampled_from([0.0, 0.5, 1.0, -2.0]))))
        self.values.append(made)

    def _parameter(self, *shape: int) -> Value:
        return self.b.parameter(f"p{len(self.b.parameters)}", Type(shape))

    def graph(self) -> Graph:
        for _ in range(self.data.draw(st.integers(1, 12))):
            self.step()
        return self.b.finish(last=self.values[-1], other=self.any())


@cache
def workers(threads: int) -> Workers:
    return Workers(threads)


def arrays(graph: Graph, batch: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    generator = np.random.default_rng(7)
    feeds = {
        value.name: generator.standard_normal((batch, *value.shape[1:])).astype("float32") for value in graph.inputs
    }
    parameters = {
        value.name: (generator.standard_normal(value.shape) / 3).astype("float32") for value in graph.parameters
    }
    return feeds, parameters


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_passes_keep_every_output(data: st.DataObject):
    graph = Draw(data).graph()
    feeds, parameters = arrays(graph, 3)
    double = ({name: array.astype("float64") for name, array in part.items()} for part in (feeds, parameters))
    before = interpret(graph, *(double_part := list(double)))
    after = interpret(optimise(graph), *double_part)
    for name, expected in before.items():
        np.testing.assert_allclose(after[name], expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_plans_compute_what_the_references_say(data: st.DataObject):
    graph = Draw(data).graph()
    plan = compile_plan(graph, max(BATCHES))
    for batch in BATCHES:
        feeds, parameters = arrays(graph, batch)
        exact = interpret(graph, {name: array.astype("float64") for name, array in feeds.items()},
                          {name: array.astype("float64") for name, array in parameters.items()})
        found = []
        for threads in (1, 2):
            session = Session(plan, parameters, {}, workers(threads))
            for name, array in feeds.items():
                session.feeds[name][:batch] = array
            session.run(batch)
            found.append({name: session.fetch(name, batch) for name in exact})
        for name, expected in exact.items():
            scale = max(1.0, float(np.abs(expected).max()))
            np.testing.assert_allclose(found[0][name] / scale, expected / scale, atol=2e-5)
            np.testing.assert_array_equal(found[0][name], found[1][name])
