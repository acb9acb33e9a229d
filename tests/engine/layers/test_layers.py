"""What single layers compute and refuse. Agreement with Keras is tests/parity's."""

from __future__ import annotations

import numpy as np
import pytest

from engine.definition import parse_model
from engine.errors import DefinitionError
from engine.graph.interpret import interpret
from engine.graph.ir import GraphBuilder
from engine.layers.base import Net
from engine.options import read_entry
from engine.types import Batch, Type


def run(options, *arrays, training=False, trainable=True, parameters=None):
    """Output, the parameters used and the new statistics."""
    net = Net(GraphBuilder("layer"), training=training)
    inputs = tuple(net.b.input(f"x{i}", Type((Batch(), *array.shape[1:]))) for i, array in enumerate(arrays))
    output = net.apply("layer", read_entry("layer", options, ""), inputs, trainable=trainable)
    values = {variable.name: variable.initializer(variable.shape, 3) for variable in net.variables} | (parameters or {})
    outputs = {"y": output, **{statistic.name: new for statistic, new in net.updates},
               **{f"penalty{i}": penalty for i, penalty in enumerate(net.penalties)}}
    net.b.outputs.update(outputs)
    results = interpret(net.b.finish(), {f"x{i}": array for i, array in enumerate(arrays)}, values)
    return results["y"], values, {name: value for name, value in results.items() if name != "y"}


def draw(*shape):
    return np.random.default_rng(5).standard_normal(shape, np.float32)


def faults(layers, shape):
    with pytest.raises(DefinitionError) as caught:
        parse_model({"inputs": {"x": {"shape": shape}}, "layers": layers}, "")
    return {fault.pointer: fault.detail for fault in caught.value.faults}


def test_batch_normalization_in_training_uses_the_batch_and_moves_the_statistics():
    x = draw(6, 4, 3) * 3 + 1
    y, _, moved = run({"type": "BatchNormalization", "momentum": 0.9}, x, training=True)
    np.testing.assert_allclose(y.mean((0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std((0, 1)), 1, atol=1e-3)
    np.testing.assert_allclose(moved["layer/moving_mean"], 0.1 * x.mean((0, 1)), rtol=1e-4)
    np.testing.assert_allclose(moved["layer/moving_variance"], 0.9 + 0.1 * x.var((0, 1)), rtol=1e-5)


@pytest.mark.parametrize(("training", "trainable"), [(False, True), (True, False), (False, False)])
def test_batch_normalization_otherwise_uses_the_moving_statistics(training, trainable):
    x = draw(5, 2)
    statistics = {"layer/moving_mean": np.array([1, 2], np.float32),
                  "layer/moving_variance": np.array([4, 9], np.float32)}
    y, _, moved = run({"type": "BatchNormalization"}, x, training=training, trainable=trainable, parameters=statistics)
    np.testing.assert_allclose(y, (x - [1, 2]) / np.sqrt(np.array([4, 9]) + 1e-3), rtol=1e-4, atol=1e-6)
    assert not moved


def test_activity_regularizers_are_means_over_the_batch_and_act_in_training_only():
    x = draw(4, 3)
    options = {"type": "Dense", "units": 2, "activity_regularizer": {"type": "L1L2", "l1": 0.1, "l2": 0.2}}
    y, _, extra = run(options, x, training=True)
    np.testing.assert_allclose(extra["penalty0"], (0.1 * np.abs(y) + 0.2 * y**2).sum() / 4, rtol=1e-5)
    assert not run(options, x)[2]


def test_dense_works_on_the_last_of_many_dimensions():
    x = draw(2, 3, 4, 5)
    y, values, _ = run({"type": "Dense", "units": 6}, x)
    np.testing.assert_allclose(y, x @ values["layer/kernel"] + values["layer/bias"], rtol=1e-4, atol=1e-6)


def test_relu_with_all_its_options():
    x = np.array([[-2, -0.1, 0.1, 0.5, 1.9, 7]], np.float32)
    y, _, _ = run({"type": "ReLU", "max_value": 6, "negative_slope": 0.5, "threshold": 0.3}, x)
    np.testing.assert_allclose(y, [[-1.15, -0.2, -0.1, 0.5, 1.9, 6]], rtol=1e-5)


def test_merging_broadcasts_and_widens_as_keras_does():
    x, gate = draw(2, 3, 4, 5), draw(2, 5)
    y, _, _ = run({"type": "Multiply"}, x, gate)
    np.testing.assert_allclose(y, x * gate[:, None, None, :])


def test_reshape_infers_one_dimension_and_keeps_order():
    x = draw(2, 3, 4)
    assert np.array_equal(run({"type": "Reshape", "target_shape": [2, -1]}, x)[0], x.reshape(2, 2, 6))


def test_dropout_leaves_out_and_scales_up_in_training_only():
    x = np.ones((50, 40), np.float32)
    y, _, _ = run({"type": "Dropout", "rate": 0.25}, x, training=True)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert 0.2 < (y == 0).mean() < 0.3
    assert np.array_equal(run({"type": "Dropout", "rate": 0.25}, x)[0], x)


@pytest.mark.parametrize(("layer", "shape", "pointer", "words"), [
    ({"type": "Conv2D", "filters": 2, "kernel_size": 3}, [9], "/layers/0", "rank 4"),
    ({"type": "Conv2D", "filters": 2, "kernel_size": 9}, [5, 5, 1], "/layers/0", "at least 9 x 9"),
    ({"type": "Conv2D", "filters": 4, "kernel_size": 1, "groups": 2}, [5, 5, 3], "/layers/0/groups", "divisor"),
    ({"type": "Conv2D", "filters": 3, "kernel_size": 1, "groups": 2}, [5, 5, 2], "/layers/0/filters", "multiple"),
    ({"type": "Conv2D", "filters": 3, "kernel_size": 3, "strides": 2, "dilation_rate": 2}, [9, 9, 2],
     "/layers/0/dilation_rate", "strides"),
    ({"type": "DepthwiseConv2D", "kernel_size": 3, "strides": [1, 2]}, [9, 9, 2], "/layers/0/strides", "equal"),
    ({"type": "MaxPooling2D"}, [1, 5, 2], "/layers/0", "at least 2 x 2"),
    ({"type": "GlobalAveragePooling2D"}, [5], "/layers/0", "rank 4"),
    ({"type": "ZeroPadding2D", "padding": [1, 2, 3]}, [5, 5, 1], "/layers/0/padding", "two integers"),
    ({"type": "ZeroPadding2D", "padding": [[1, -1], 2]}, [5, 5, 1], "/layers/0/padding/0/1", "at least 0"),
    ({"type": "Reshape", "target_shape": [5]}, [4], "/layers/0/target_shape", "4 elements"),
    ({"type": "Reshape", "target_shape": [-1, -1]}, [4], "/layers/0/target_shape", "at most one -1"),
    ({"type": "Reshape", "target_shape": [0, 4]}, [4], "/layers/0/target_shape/0", "positive"),
    ({"type": "BatchNormalization", "axis": 1}, [4, 4, 2], "/layers/0/axis", "last"),
    ({"type": "Softmax", "axis": 0}, [4, 2], "/layers/0/axis", "other than the batch"),
    ({"type": "Softmax", "axis": [1, -2]}, [4, 2], "/layers/0/axis", "different dimensions"),
    ({"type": "Dropout", "rate": 1}, [4], "/layers/0/rate", "below 1"),
    ({"type": "Dropout", "rate": 0.5, "seed": "x"}, [4], "/layers/0/seed", "an integer"),
    ({"type": "Dropout", "rate": 0.5, "noise_shape": [None, 2]}, [4], "/layers/0/noise_shape", "null or 1"),
    ({"type": "Dense", "units": 3, "kernel_constraint": "x"}, [4], "/layers/0/kernel_constraint/type", "one of"),
    ({"type": "Conv2D", "filters": 3, "kernel_size": 1, "data_format": "channels_first"}, [4, 4, 4],
     "/layers/0/data_format", "channels_last"),
    ({"type": "BatchNormalization", "renorm": True}, [4], "/layers/0/renorm", "not supported"),
    ({"type": "Activation", "activation": {"type": "softmax", "axis": 0}}, [4], "/layers/0", "other than the batch"),
    ({"type": "Activation", "activation": "glu"}, [3], "/layers/0", "even size"),
    ({"type": "Add"}, [4], "/layers/0", "at least 2 inputs"),
    ({"type": "Dense", "units": 3, "inputs": ["x", "x"]}, [4], "/layers/0/inputs", "1 input"),
    ({"type": "Concatenate", "axis": 0, "inputs": ["x", "x"]}, [4], "/layers/0/axis", "other than the batch"),
    ({"type": "Concatenate", "axis": 3, "inputs": ["x", "x"]}, [4], "/layers/0/axis", "other than the batch"),
    ({"type": "Dense", "units": 3, "kernel_initializer": {"type": "VarianceScaling", "input_axes": [4],
                                                          "output_axes": [0]}}, [4],
     "/layers/0/kernel_initializer", "rank 2"),
])
def test_what_does_not_fit_is_refused_at_its_place(layer, shape, pointer, words):
    found = faults([layer], shape)
    assert list(found) == [pointer]
    assert words in found[pointer] and ", received " in found[pointer]


def test_shapes_that_do_not_merge():
    layers = [{"type": "Dense", "units": 3, "name": "a", "inputs": ["x"]},
              {"type": "Dense", "units": 4, "name": "b", "inputs": ["x"]},
              {"type": "Add", "inputs": ["a", "b"]}]
    assert "broadcast" in faults(layers, [5])["/layers/2/inputs"]
