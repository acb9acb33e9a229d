"""Every registered layer, over its own samples."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest

from engine import registry
from engine.graph.interpret import interpret
from engine.graph.ir import GraphBuilder
from engine.graph.verify import verify
from engine.layers.base import Layer, LayerSample, Net
from engine.options import read_entry, write
from engine.types import Batch, Type

LAYERS: dict[str, Any] = dict(registry.entries("layer"))
CASES = [pytest.param(name, sample, id=f"{name}-{index}") for name, cls in LAYERS.items()
         for index, sample in enumerate(cls.samples)]


def read(name: str, sample: LayerSample) -> Layer:
    return read_entry("layer", {"type": name, **sample.options}, "")


def build(layer: Layer, sample: LayerSample, *, training: bool) -> tuple[Net, Any]:
    net = Net(GraphBuilder("layer"), training=training)
    inputs = [net.b.input(f"x{index}", Type((Batch(), *shape))) for index, shape in enumerate(sample.inputs)]
    return net, net.apply("layer", layer, tuple(inputs))


def drawn(generator: np.random.Generator, shape: tuple[int, ...], below: int | None) -> np.ndarray:
    if below is not None:
        return generator.integers(0, below, shape).astype(np.float32)
    return generator.standard_normal(shape, np.float32)


@pytest.mark.parametrize("name", LAYERS)
def test_it_has_samples_and_says_its_shapes(name):
    assert LAYERS[name].samples
    text = inspect.getdoc(LAYERS[name]) or ""
    assert "Input shape" in text and "Output shape" in text


@pytest.mark.parametrize(("name", "sample"), CASES)
def test_what_it_writes_reads_back(name, sample):
    layer = read(name, sample)
    assert read_entry("layer", write(layer), "") == layer


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("name", "sample"), CASES)
def test_shapes_and_parameters_are_those_declared(name, sample, training):
    net, output = build(read(name, sample), sample, training=training)
    assert output.shape == (Batch(), *sample.output)
    assert sum(math.prod(variable.shape) for variable in net.variables) == sample.parameters
    assert {variable.name for variable in net.variables} == set(net.b.parameters)
    verify(net.b.finish(y=output, **{f"u{index}": new for index, (_, new) in enumerate(net.updates)}))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("name", "sample"), CASES)
def test_the_graph_computes_that_shape(name, sample, batch):
    net, output = build(read(name, sample), sample, training=True)
    generator = np.random.default_rng(0)
    feeds = {f"x{index}": drawn(generator, (batch, *shape), sample.integers)
             for index, shape in enumerate(sample.inputs)}
    parameters = {variable.name: variable.initializer(variable.shape, 1) for variable in net.variables}
    y = interpret(net.b.finish(y=output), feeds, parameters)["y"]
    assert y.shape == (batch, *sample.output) and y.dtype == np.float32
    assert np.isfinite(y).all()


@pytest.mark.parametrize(("name", "sample"), CASES)
def test_variables_regularizers_and_random_streams_do_not_depend_on_training(name, sample):
    layer = read(name, sample)
    nets = [build(layer, sample, training=training)[0] for training in (False, True)]
    assert nets[0].variables == nets[1].variables
    assert nets[0].streams == nets[1].streams
    assert not nets[0].updates and not nets[0].penalties


@pytest.mark.parametrize(("name", "sample"), CASES)
def test_a_frozen_layer_has_no_trainable_variables_and_no_updates(name, sample):
    net = Net(GraphBuilder("layer"), training=True)
    inputs = [net.b.input(f"x{index}", Type((Batch(), *shape))) for index, shape in enumerate(sample.inputs)]
    net.apply("layer", read(name, sample), tuple(inputs), trainable=False)
    assert not any(variable.trainable for variable in net.variables)
    assert not net.updates


@pytest.mark.parametrize("name", LAYERS)
def test_the_option_of_its_size_exists(name):
    option = LAYERS[name].size_option
    assert option is None or option in LAYERS[name].__dataclass_fields__
