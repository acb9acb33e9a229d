"""Layers, losses and optimizers on tensors: the bits of the same model compiled to a plan, and of `fit`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from engine import eager, registry, static
from engine.errors import DefinitionError
from engine.graph.ir import STATE
from engine.random import SHUFFLE, permutation
from tests.engine.lowered import same_bits
from tests.engine.training import dataset, job, train

LAYERS: dict[str, Any] = dict(registry.entries("layer"))
CASES = [pytest.param(name, sample, training, id=f"{name}-{index}-{'train' if training else 'predict'}")
         for name, cls in LAYERS.items() for index, sample in enumerate(cls.samples)
         for training in ((True, False) if index == 0 else (True,))]
BATCH = 3


def drawn(shape: tuple[int, ...], below: int | None, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    if below is not None:
        return generator.integers(0, below, shape).astype(np.float32)
    return generator.standard_normal(shape, np.float32)


@pytest.mark.parametrize(("name", "sample", "training"), CASES)
def test_every_layer_has_the_bits_of_its_graph(name, sample, training):
    """Output, gradients of weights and of inputs, and statistics afterwards."""
    inputs = [drawn((BATCH, *shape), sample.integers, place) for place, shape in enumerate(sample.inputs)]
    factor = drawn((BATCH, *sample.output), None, 7)
    eager.seed(5)
    layer = eager.layer(name, **sample.options)

    def judged(*values):
        *xs, u = values
        y = layer(*xs)
        loss = (y * u).sum()
        wanted = [*layer.parameters, *xs] if sample.integers is None else layer.parameters
        try:
            return [y, *eager.gradients(loss, wanted)]
        except eager.Misuse as misuse:  # changes of pictures have none
            assert "has no derivative" in str(misuse) and not layer.weights
            return [y]

    with eager.training(training):
        xs = [eager.parameter(x) for x in inputs] if sample.integers is None else [eager.tensor(x) for x in inputs]
        with eager.no_grad():
            layer(*xs)  # makes the weights
        kept = {name: weight.numpy().copy() for name, weight in layer.weights.items()}
        layer._calls = 0
        for name_, weight in layer.weights.items():
            weight.assign(kept[name_])
        types = [static.input((None, *x.shape[1:])) for x in (*inputs, factor)]
        graph = static.trace(judged, *types)
        before = {name_: weight.numpy().copy() for name_, weight in layer.weights.items()}
        layer._calls = 0
        found = judged(*xs, eager.tensor(factor))
        after = {name_: weight.numpy().copy() for name_, weight in layer.weights.items()}
    for name_, weight in layer.weights.items():
        weight.assign(before[name_])
    assert STATE not in graph.graph.inputs
    with static.Session(graph, seed=5, threads=1) as session:
        feeds = {value.name: array for value, array in zip(graph.graph.inputs, (*inputs, factor), strict=True)}
        wanted = session.run(feeds, fetch=list(graph.graph.outputs))
    assert found[0].shape == (BATCH, *sample.output)
    for place, (one, other) in enumerate(zip(found, wanted, strict=True)):
        assert same_bits(one.numpy(), other), place
    for name_, weight in layer.weights.items():
        assert same_bits(weight.numpy(), after[name_]), name_
    assert sum(math.prod(weight.shape) for weight in layer.weights.values()) == sample.parameters


@pytest.mark.parametrize("name", registry.entries("loss"))
def test_every_loss_has_the_bits_of_its_graph(name):
    loss = eager.loss(name)
    codes = "numeric" not in loss.loss.accepts
    x = np.random.default_rng(0).random((6, 4), np.float32) + np.float32(0.1)
    x /= x.sum(-1, keepdims=True)
    sparse = name == "SparseCategoricalCrossentropy"
    target = np.arange(6, dtype=np.int32) % 4 if codes or sparse else drawn((6, 4), 2)

    def judged(t, x):
        value = loss(t, x)
        return [value, *eager.gradients(value, [x])]

    found = judged(eager.tensor(target), eager.parameter(x))
    graph = static.trace(judged, static.input((None, *target.shape[1:]), str(target.dtype)), static.input((None, 4)))
    with static.Session(graph, threads=1) as session:
        wanted = session.run({"t": target, "x": x}, fetch=["0", "1"])
    assert all(same_bits(one.numpy(), other) for one, other in zip(found, wanted, strict=True))


MODEL: list[dict[str, Any]] = [{"type": "Conv2D", "filters": 4, "kernel_size": 3, "padding": "same", "use_bias": False},
         {"type": "BatchNormalization"}, {"type": "Activation", "activation": "relu"},
         {"type": "MaxPooling2D"}, {"type": "Flatten"}, {"type": "Dropout", "rate": 0.3},
         {"type": "Dense", "units": 3, "kernel_regularizer": "l2"}]


@pytest.mark.parametrize("optimizer", [
    {"type": "Adam", "learning_rate": 0.01},
    {"type": "SGD", "learning_rate": {"type": "CosineDecay", "initial_learning_rate": 0.1, "decay_steps": 9},
     "momentum": 0.9, "global_clipnorm": 0.5},
    {"type": "Lamb", "learning_rate": 0.01},
], ids=lambda document: document["type"])
def test_a_training_by_hand_ends_with_the_weights_of_fit(optimizer, tmp_path):
    random = np.random.default_rng(1)
    x = random.standard_normal((40, 6, 6, 2)).astype("float32")
    label = random.integers(0, 3, 40)
    data = dataset(tmp_path, x=x, label=label)
    spec = job(data, MODEL, optimizer=optimizer, epochs=2, batch_size=16, data_block={"split": {}})
    assert "validation" not in data.manifest["splits"]
    wanted = train(spec, data, tmp_path / "work").weights

    eager.seed(3)
    layers = [eager.layer(**layer) for layer in MODEL]
    loss = eager.loss("SparseCategoricalCrossentropy", from_logits=True)
    adam = eager.optimizer(**optimizer)
    with eager.training():
        for epoch in (1, 2):
            order = permutation((3, SHUFFLE, epoch, 0), 40)
            for start in range(0, 40, 16):
                rows = order[start: start + 16]
                value = eager.tensor(x[rows])
                for layer in layers:
                    value = layer(value)
                total = loss(label[rows], value)
                for penalty in (penalty for layer in layers for penalty in layer.penalties):
                    total = total + penalty
                chosen = eager.parameters(*layers)
                adam.zero_grad(chosen)
                total.backward()
                adam.step(chosen)
    found = {name: weight.numpy() for layer in layers for name, weight in layer.weights.items()}
    assert set(found) == set(wanted)
    for name, weight in found.items():
        assert same_bits(weight, wanted[name]), name


def test_options_are_read_as_in_definitions():
    with pytest.raises(DefinitionError, match="units"):
        eager.layer("Dense", unit=3)
    with pytest.raises(DefinitionError, match="Dense"):
        eager.layer("Dens")
    with pytest.raises(DefinitionError, match="MeanSquaredError"):
        eager.loss("MeanSquareError")


def test_errors_name_the_layer():
    eager.seed(0)
    with pytest.raises(eager.Misuse, match=r"conv2d \(Conv2D\): expected rank 4"):
        eager.layer("Conv2D", filters=3, kernel_size=3)(np.ones((2, 5)))
    dense = eager.layer("Dense", units=3)
    dense(np.ones((2, 5)))
    with pytest.raises(eager.Misuse, match=r"dense \(Dense\)"):
        dense(np.ones((2, 6)))
    with pytest.raises(eager.Misuse, match="expected 1 input"):
        dense(np.ones((2, 5)), np.ones((2, 5)))


def test_a_mask_travels_beside_tensors():
    eager.seed(0)
    masked = eager.layer("Masking")(np.array([[[0.0, 0.0], [1.0, 2.0]]]))
    np.testing.assert_array_equal(masked.mask.numpy(), [[0, 1]])
    dense = eager.layer("Dense", units=2)(masked)
    np.testing.assert_array_equal(dense.mask.numpy(), [[0, 1]])


def test_a_layer_draws_anew_in_each_call_and_the_same_after_the_same_seed():
    x = np.ones((4, 50), "float32")

    def draws():
        eager.seed(1)
        dropout = eager.layer("Dropout", rate=0.5)
        with eager.training():
            return [dropout(x).numpy() for _ in range(2)]

    first, second = draws(), draws()
    assert not same_bits(first[0], first[1])
    assert all(same_bits(one, other) for one, other in zip(first, second, strict=True))


def test_a_step_without_gradients_is_refused():
    with pytest.raises(eager.Misuse, match="call backward first"):
        eager.optimizer("Adam").step([eager.parameter([1.0])])
    with pytest.raises(eager.Misuse, match="expected parameters"):
        eager.optimizer("Adam").step([eager.tensor([1.0])])
