"""One drawn configuration of a layer in our engine: output and gradients from given inputs and weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.autodiff import gradients
from engine.graph.interpret import interpret
from engine.graph.ir import Graph, GraphBuilder
from engine.layers.base import Net
from engine.lowering.plan import compile_plan
from engine.options import entry, parse
from engine.runtime.session import Session, aligned
from engine.runtime.threads import Workers
from engine.types import Batch, Type
from tests.parity import cases, drawn
from tests.parity.drawn import Configuration

Arrays = dict[str, np.ndarray]
SMALLEST = 0.01


def inputs_of(name: str, configuration: Configuration) -> list[np.ndarray]:
    """The arrays that both sides feed."""
    if configuration.integers is not None:
        return [cases.draw_integers(f"{name}/input{place}", shape, configuration.integers).astype(np.float32)
                for place, shape in enumerate(configuration.shapes)]
    return [cases.draw(f"{name}/input{place}", shape) for place, shape in enumerate(configuration.shapes)]


def build(name: str, layer: dict[str, Any], configuration: Configuration) -> tuple[Graph, Arrays, Arrays]:
    """The graph of output and gradients of <u, output>, its feeds, and its parameters."""
    arrays = inputs_of(name, configuration)
    net = Net(GraphBuilder(name), training=False)
    values = [net.b.input(f"input{place}", Type((Batch(), *array.shape[1:]))) for place, array in enumerate(arrays)]
    feeds = {f"input{place}": array for place, array in enumerate(arrays)}
    for place in configuration.masked:
        steps = arrays[place].shape[:2]
        feeds[f"mask{place}"] = (cases.draw_integers(f"{name}/mask{place}", steps, 3) > 0).astype(np.float32)
        net.masks[values[place]] = net.b.input(f"mask{place}", Type((Batch(), *steps[1:])))
    outputs = net.call("layer", parse(entry("layer"), layer, ""), tuple(values), arguments=configuration.arguments)
    keys = dict(zip((variable.name for variable in net.variables),
                    drawn.keys([variable.name for variable in net.variables]), strict=True))
    variables = {variable.name: cases.draw_variable(name, keys[variable.name], variable.shape)
                 for variable in net.variables}
    losses = []
    for place, output in enumerate(outputs):
        shape = tuple(len(arrays[0]) if isinstance(dim, Batch) else dim for dim in output.shape)
        feeds[f"u{place or ''}"] = cases.draw(f"{name}/u{place or ''}", shape)
        u = net.b.input(f"u{place or ''}", output.type)
        losses.append(net.b.op("reduce_sum", net.b.op("multiply", output, u), axes=tuple(range(len(shape)))))
    loss = losses[0]
    for more in losses[1:]:
        loss = net.b.op("add", loss, more)
    wanted = {} if configuration.integers is not None else {f"d_input{place}": value
                                                            for place, value in enumerate(values)}
    trainable = [variable.name for variable in net.variables if variable.trainable]
    wanted |= {f"d_{key}": net.b.parameters[variable]
               for variable, key in zip(trainable, drawn.keys(trainable), strict=True)}
    found = dict(zip(wanted, gradients(net.b, loss, list(wanted.values())), strict=True))
    shown = {f"output{place or ''}": output for place, output in enumerate(outputs)}
    return net.b.finish(**shown, **found), feeds, variables


def referenced(graph: Graph, feeds: Arrays, variables: Arrays) -> Arrays:
    """By the ops' references."""
    return interpret(graph, feeds, variables)


def planned(graph: Graph, feeds: Arrays, variables: Arrays) -> Arrays:
    """By the compiled plan."""
    batch = len(next(iter(feeds.values())))
    parameters = {}
    for name, data in variables.items():
        parameters[name] = aligned(data.shape, "float32")
        parameters[name][...] = data
    workers = Workers(1)
    try:
        session = Session(compile_plan(graph, batch), parameters, {}, workers)
        for name in (value.name for value in graph.inputs):
            session.feeds[name][...] = feeds[name]
        session.run(batch)
        return {name: session.fetch(name, batch).copy() for name in graph.outputs}
    finally:
        workers.close()


def error(received: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, as a part of the largest value that is expected; of what is below 0.01, of 0.01.

    Some gradients are nothing but roundings: those of a softmax over one value. What is not finite is no agreement.
    """
    assert received.shape == expected.shape, f"expected shape {expected.shape}, received {received.shape}"
    if not np.isfinite(expected).all() or not np.isfinite(received).all():
        return float("inf")
    return float(np.abs(received - expected).max(initial=0) / max(SMALLEST, np.abs(expected).max(initial=0)))
