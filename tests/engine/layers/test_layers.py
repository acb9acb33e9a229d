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


def test_the_longest_windows_of_pooling():
    x = draw(2, 700, 3)
    y, _, _ = run({"type": "MaxPooling1D", "pool_size": 300, "strides": 130}, x)
    np.testing.assert_array_equal(y, np.stack([x[:, start:start + 300].max(1) for start in (0, 130, 260, 390)], 1))


def test_noise_shapes_share_draws():
    x = np.ones((50, 4, 40), np.float32)
    for options in ({"type": "SpatialDropout1D", "rate": 0.25}, {"type": "Dropout", "rate": 0.25,
                                                                 "noise_shape": [None, 1, None]}):
        y, _, _ = run(options, x, training=True)
        assert (y == y[:, :1]).all() and set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
        assert 0.2 < (y == 0).mean() < 0.3


def test_a_seed_of_the_layer_gives_another_mask():
    x = np.ones((5, 40), np.float32)
    masks = [run({"type": "Dropout", "rate": 0.5, "seed": seed}, x, training=True)[0] for seed in (None, 3, 4, 3)]
    assert (masks[1] == masks[3]).all()
    assert len({mask.tobytes() for mask in masks}) == 3


@pytest.mark.parametrize("options", [{"type": "AlphaDropout", "rate": 0.3}, {"type": "GaussianDropout", "rate": 0.3},
                                     {"type": "GaussianNoise", "stddev": 0.5}])
def test_noise_keeps_the_mean(options):
    x = draw(400, 500)
    y, _, _ = run(options, x, training=True)
    variance = {"AlphaDropout": 1.0, "GaussianDropout": 1 + 0.3 / 0.7, "GaussianNoise": 1.25}[options["type"]]
    assert abs(y.mean()) < 0.02 and y.var() == pytest.approx(variance, rel=0.03)
    assert np.array_equal(run(options, x)[0], x)


def test_activity_regularization_adds_a_penalty():
    x = draw(4, 3)
    y, _, extra = run({"type": "ActivityRegularization", "l1": 0.1, "l2": 0.2}, x, training=True)
    assert np.array_equal(x, y)
    np.testing.assert_allclose(extra["penalty0"], (0.1 * np.abs(x) + 0.2 * x**2).sum() / 4, rtol=1e-5)


@pytest.mark.parametrize(("layer", "shape", "pointer", "words"), [
    ({"type": "Conv1D", "filters": 2, "kernel_size": 3}, [9, 9, 1], "/layers/0", "rank 3"),
    ({"type": "Conv1D", "filters": 2, "kernel_size": [3, 3]}, [9, 1], "/layers/0/kernel_size", "a list of 1"),
    ({"type": "Conv2D", "filters": 2, "kernel_size": 3, "padding": "causal"}, [9, 9, 1], "/layers/0/padding", "same"),
    ({"type": "Conv3D", "filters": 2, "kernel_size": [4, 1, 1]}, [3, 3, 3, 1], "/layers/0", "depth 4"),
    ({"type": "Conv2DTranspose", "filters": 2, "kernel_size": 3, "strides": 2, "output_padding": 2}, [3, 3, 1],
     "/layers/0/output_padding", "strides leave open"),
    ({"type": "MaxPooling1D", "pool_size": 9}, [5, 1], "/layers/0", "at least 1 x 9"),
    ({"type": "AdaptiveAveragePooling2D", "output_size": 0}, [5, 5, 1], "/layers/0/output_size", "at least 1"),
    ({"type": "AdaptiveMaxPooling1D"}, [5, 1], "/layers/0/output_size", "required"),
    ({"type": "Cropping1D", "cropping": [2, 3]}, [5, 1], "/layers/0/cropping", "less than the 5"),
    ({"type": "Cropping2D", "cropping": [[1, 2], [1]]}, [5, 5, 1], "/layers/0/cropping/1", "a list of 2"),
    ({"type": "UpSampling2D", "interpolation": "area"}, [5, 5, 1], "/layers/0/interpolation", "bilinear"),
    ({"type": "EinsumDense", "equation": "ab,bc", "output_shape": 3}, [5], "/layers/0/equation", "an equation like"),
    ({"type": "EinsumDense", "equation": "ab,bc->ad", "output_shape": 3}, [5], "/layers/0/equation", "letter"),
    ({"type": "EinsumDense", "equation": "abc,cd->abd", "output_shape": 3}, [5], "/layers/0/equation",
     "each dimension"),
    ({"type": "EinsumDense", "equation": "abc,cd->abd", "output_shape": [4, 3]}, [5, 2], "/layers/0/output_shape",
     "letter b"),
    ({"type": "EinsumDense", "equation": "ab,bc->ac", "output_shape": 3, "bias_axes": "b"}, [5],
     "/layers/0/bias_axes", "letters of the output"),
    ({"type": "EinsumDense", "equation": "ab,bc->ca", "output_shape": 3}, [5], "/layers/0/equation", "batch first"),
    ({"type": "Embedding", "input_dim": 0, "output_dim": 2}, [5], "/layers/0/input_dim", "at least 1"),
    ({"type": "Permute", "dims": [1, 3]}, [5, 2], "/layers/0/dims", "each once"),
    ({"type": "Permute", "dims": [1]}, [5, 2], "/layers/0/dims", "2 dimensions"),
    ({"type": "RepeatVector", "n": 2}, [5, 2], "/layers/0", "rank 2"),
    ({"type": "PReLU", "shared_axes": [3]}, [5, 2], "/layers/0/shared_axes", "dimensions of"),
    ({"type": "Rescaling", "scale": [1, 2]}, [5], "/layers/0/scale", "broadcast"),
    ({"type": "Normalization", "mean": 1}, [5], "/layers/0/variance", "neither"),
    ({"type": "Normalization", "mean": [1, 2], "variance": 1}, [5], "/layers/0/mean", "5 numbers"),
    ({"type": "UnitNormalization", "axis": 0}, [5], "/layers/0/axis", "other than the batch"),
    ({"type": "GaussianNoise", "stddev": -1}, [5], "/layers/0/stddev", "at least 0"),
    ({"type": "Dot", "axes": 1}, [5], "/layers/0", "2 inputs"),
    ({"type": "Dot", "axes": 2, "inputs": ["x", "x"]}, [5], "/layers/0/axes", "other than the batch"),
    ({"type": "Dot", "axes": [1, 2], "inputs": ["x", "x"]}, [5, 4], "/layers/0/axes", "equal sizes"),
    ({"type": "Subtract", "inputs": ["x", "x", "x"]}, [5], "/layers/0/inputs", "2 inputs"),
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
    ({"type": "Dense", "units": 3, "kernel_constraint": "x"}, [4], "/layers/0/kernel_constraint", "one of"),
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


def test_the_layers_of_keras_applications():
    x = draw(2, 3, 4)
    scaled, values, _ = run({"type": "LayerScale", "init_values": 0.5, "projection_dim": 4}, x)
    assert set(values) == {"layer/gamma"}
    np.testing.assert_allclose(scaled, x * 0.5)
    np.testing.assert_allclose(run({"type": "CustomScaleLayer", "scale": 0.17}, x, 2 * x)[0], x * 1.34, rtol=1e-5)
    kept = {"type": "StochasticDepth", "drop_path_rate": 0.5}
    np.testing.assert_array_equal(run(kept, x)[0], x)
