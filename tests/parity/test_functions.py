"""Layers, activations, losses and metrics against Keras: the graphs they build, computed op by op."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from engine import registry
from engine.graph.interpret import interpret
from engine.graph.ir import Graph, GraphBuilder, Value
from engine.layers.base import Net
from engine.lowering.plan import compile_plan
from engine.options import entry, parse
from engine.runtime.session import Session, aligned
from engine.runtime.threads import Workers
from engine.types import Batch, Type
from tests.parity import cases, colours, drawn, moving
from tests.parity.figures import array, figures


def declare(b: GraphBuilder, name: str, data: np.ndarray) -> Value:
    """An input for arrays like this one, of any number of examples."""
    return b.input(name, Type((Batch(), *data.shape[1:]), str(data.dtype)))


Arrays = Mapping[str, np.ndarray]


def compute(graph: Graph, feeds: Arrays, variables: Arrays | None = None) -> dict[str, np.ndarray]:
    """The graph's outputs from the compiled plan, which may not be far from those of the ops' references."""
    batch = len(next(iter(feeds.values()))) if feeds else 1
    parameters = {}
    for name, data in (variables or {}).items():
        parameters[name] = aligned(data.shape, "float32")
        parameters[name][...] = data
    workers = Workers(1)
    session = Session(compile_plan(graph, batch), parameters, {}, workers)
    for name, data in feeds.items():
        session.feeds[name][...] = data
    session.run(batch)
    received = {name: session.fetch(name, batch) for name in graph.outputs}
    workers.close()
    for name, reference in interpret(graph, feeds, dict(variables or {})).items():
        assert_close(received[name], reference)
    return received


def assert_close(received: np.ndarray, expected: np.ndarray) -> None:
    """Equal but for the roundings of two float32 programs."""
    np.testing.assert_allclose(received, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", cases.LAYERS)
def test_layer(name):
    case = cases.LAYERS[name]
    feeds = {f"input{index}": cases.draw(f"{name}/input{index}", shape) for index, shape in enumerate(case["shapes"])}
    net = Net(GraphBuilder(name), training=case["training"])
    layer = parse(entry("layer"), case["layer"], "")
    output = net.apply("layer", layer, tuple(declare(net.b, key, data) for key, data in feeds.items()))
    new = {value.name.rpartition("/")[2]: update for value, update in net.updates}
    variables = {variable.name: cases.draw_variable(name, variable.name.rpartition("/")[2], variable.shape)
                 for variable in net.variables}
    received = compute(net.b.finish(output=output, **new), feeds, variables)
    expected = figures("layers")[name]
    assert set(received) == set(expected)
    for key, figure in expected.items():
        assert list(received[key].shape) == figure["shape"]
        assert_close(received[key], array(figure))


@pytest.mark.parametrize("name", cases.ACTIVATIONS)
def test_activation(name):
    x = cases.activation_input()
    b = GraphBuilder(name)
    output = parse(entry("activation"), cases.ACTIVATIONS[name], "").build(b, declare(b, "x", x))
    expected = array(figures("activations")[name]["output"])
    np.testing.assert_allclose(compute(b.finish(y=output), {"x": x})["y"], expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", cases.LOSSES)
def test_loss(name):
    case = cases.LOSSES[name]
    feeds = {"target": cases.targets(case["target"], name), "output": cases.predictions(case["prediction"], name)}
    b = GraphBuilder(name)
    loss = parse(entry("loss"), case["loss"], "")
    feeds["weight"] = cases.weights(name)
    target, output, weight = (declare(b, key, data) for key, data in feeds.items())
    examples = loss.values(b, target, output)
    mask = loss.mask(b, target, examples)
    received = compute(b.finish(examples=examples if mask is None else b.op("multiply", examples, mask),
                                mean=loss.total(b, target, output),
                                weighted=loss.total(b, target, output, weight)), feeds)
    for key, figure in figures("losses")[name].items():
        if figure is not None:  # Keras does not weigh what is one number for the whole batch
            assert_close(received[key], array(figure))


@pytest.mark.parametrize(("name", "weighted"), [
    (name, weighted == "weighted") for name in cases.METRICS for weighted in figures("metrics")[name]])
def test_metric(name, weighted):
    case = cases.METRICS[name]
    metric = parse(entry("metric"), case["metric"], "")
    total = np.zeros(())
    for index, size in enumerate(cases.BATCHES):
        part = f"{name}/{index}"
        feeds = {"target": cases.targets(case["target"], part, size),
                 "output": cases.predictions(case["prediction"], part, size),
                 **({"weight": cases.weights(part, size)} if weighted else {})}
        b = GraphBuilder(name)
        values = {key: declare(b, key, data) for key, data in feeds.items()}
        sums = metric.build(b, values["target"], values["output"], values.get("weight"))
        total = total + compute(b.finish(sums=sums), feeds)["sums"].astype(np.float64)
    expected = float(array(figures("metrics")[name]["weighted" if weighted else "plain"]))
    assert metric.result(total) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", cases.CONSTRAINTS)
def test_constraint(name):
    b, feeds = GraphBuilder(name), {"weight": cases.draw(name, cases.CONSTRAINED)}
    weight = b.parameter("weight", Type(cases.CONSTRAINED))
    built = parse(entry("constraint"), cases.CONSTRAINTS[name], "").build(b, weight)
    assert_close(compute(b.finish(weight=built), {}, feeds)["weight"], array(figures("constraints")[name]["weight"]))


@pytest.mark.parametrize("name", cases.REGULARIZERS)
def test_regularizer(name):
    b, feeds = GraphBuilder(name), {"weight": cases.draw(name, cases.REGULARIZED_SHAPE)}
    weight = b.parameter("weight", Type(cases.REGULARIZED_SHAPE))
    penalty = parse(entry("regularizer"), cases.REGULARIZERS[name], "").build(b, weight)
    assert_close(compute(b.finish(penalty=penalty), {}, feeds)["penalty"],
                 array(figures("regularizers")[name]["penalty"]))


IN_WHOLE_MODELS = {name for name in registry.entries("layer") if name.startswith("ops.")} | {
    "CustomScaleLayer", "LayerScale", "StochasticDepth"}
"""Layers that Keras writes into the models of keras.applications: `make parity` compares those."""
IN_COURSES = {"SpectralNormalization"}
"""What changes from step to step: tests/parity/courses.py trains with it."""
OF_OTHERS = {"Pipeline"}
"""Layers one after the other: nothing of its own to compare."""
DRAWN_AT_RANDOM = {"AugMix", "CutMix", "MixUp", "RandAugment", "RandomCrop", "RandomErasing", "RandomFlip"}
"""Nothing but chance to compare: tests/engine/layers/test_random_pictures.py has what must hold for every draw."""


@pytest.mark.parametrize(("kind", "covered"), [
    ("layer", {case["layer"]["type"] for case in cases.LAYERS.values()} | set(drawn.LAYERS)
     | {name for name, *_ in (*colours.CASES, *moving.CASES)}
     | IN_WHOLE_MODELS | IN_COURSES | OF_OTHERS | DRAWN_AT_RANDOM),
    # Keras 3.15's sparsemax is not the paper's: the sum of its values is above 1 where several are above 0.
    ("activation", {case["type"] for case in cases.ACTIVATIONS.values()} | {"sparsemax"}),
    ("loss", {case["loss"]["type"] for case in cases.LOSSES.values()}),
    ("metric", {case["metric"]["type"] for case in cases.METRICS.values()}),
    ("initializer", set(cases.INITIALIZERS)),
    ("constraint", {case["type"] for case in cases.CONSTRAINTS.values()}),
    ("regularizer", {case["type"] for case in cases.REGULARIZERS.values()}),
    # Keras on TensorFlow does not compute ScheduleFreeAdamW as it was published.
    ("optimizer", {case["optimizer"]["type"] for case in cases.TRAININGS.values()} | {"ScheduleFreeAdamW"}),
    ("callback", {case["type"] for case in cases.CALLBACKS.values()} | {"TerminateOnNaN"}),
    ("schedule", {case["type"] for case in cases.SCHEDULES.values()} | {"Constant"}),
])
def test_every_registered_entry_is_compared(kind, covered):
    assert set(registry.entries(kind)) == covered
