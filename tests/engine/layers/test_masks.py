"""Masks: where they begin, how they travel, and who heeds them."""

from __future__ import annotations

import numpy as np
import pytest

from engine.graph.interpret import interpret
from engine.graph.ir import GraphBuilder
from engine.layers.base import Net
from engine.options import read_entry
from engine.types import Batch, Type

X = np.array([[[1, 2], [0, 0], [3, 0]], [[0, 0], [0, 0], [5, -1]]], np.float32)
COUNTS = np.array([[1, 0, 1], [0, 0, 1]], np.float32)


def run(*stages, feeds):
    """Stages are (options, names of what is read); each is called by its place: 0, 1, …; the last output and mask."""
    net = Net(GraphBuilder("masks"), training=False)
    values = {name: net.b.input(name, Type((Batch(), *array.shape[1:]))) for name, array in feeds.items()}
    for place, (options, reads) in enumerate(stages):
        values[place] = net.apply(f"layer{place}", read_entry("layer", options, ""), tuple(values[r] for r in reads))
    output = values[len(stages) - 1]
    mask = net.mask(output)
    fetched = {"y": output} | ({} if mask is None else {"mask": mask})
    net.b.outputs.update(fetched)
    parameters = {variable.name: variable.initializer(variable.shape, 3) for variable in net.variables}
    results = interpret(net.b.finish(), feeds, parameters)
    return results["y"], results.get("mask")


MASKING = ({"type": "Masking"}, "x")


@pytest.mark.parametrize("options", [
    {"type": "Dense", "units": 3}, {"type": "Dropout", "rate": 0.5}, {"type": "ReLU"}, {"type": "Identity"},
    {"type": "Activation", "activation": "tanh"}, {"type": "Rescaling", "scale": 2}, {"type": "UnitNormalization"},
    {"type": "SpatialDropout1D", "rate": 0.1},
])
def test_they_pass_through_layers_that_keep_steps(options):
    _, mask = run(MASKING, (options, [0]), feeds={"x": X})
    np.testing.assert_array_equal(mask, COUNTS)


@pytest.mark.parametrize("options", [
    {"type": "Flatten"}, {"type": "Conv1D", "filters": 2, "kernel_size": 2}, {"type": "GlobalAveragePooling1D"},
    {"type": "MaxPooling1D"}, {"type": "Permute", "dims": [2, 1]},
])
def test_they_end_at_others(options):
    assert run(MASKING, (options, [0]), feeds={"x": X})[1] is None


def test_masking_sets_padding_to_zero():
    y, mask = run(({"type": "Masking", "mask_value": 5}, "x"), feeds={"x": np.where(X == 0, 5, X).astype(np.float32)})
    np.testing.assert_array_equal(mask, COUNTS)
    np.testing.assert_array_equal(y[0, 1], [0, 0])


def test_an_embedding_masks_zeros_if_it_is_told_to():
    ids = np.array([[1, 0, 2], [0, 3, 0]], np.float32)
    options = {"type": "Embedding", "input_dim": 4, "output_dim": 3}
    assert run((options, "x"), feeds={"x": ids})[1] is None
    np.testing.assert_array_equal(run(({**options, "mask_zero": True}, "x"), feeds={"x": ids})[1], ids > 0)


def test_means_over_steps_leave_padding_out():
    y, _ = run(MASKING, ({"type": "GlobalAveragePooling1D"}, [0]), feeds={"x": X})
    np.testing.assert_allclose(y, [[2, 1], [5, -1]])


def test_softmax_gives_zero_where_nothing_counts():
    ids = np.array([[1, 0, 2], [0, 0, 0]], np.float32)
    x = np.array([[1, 2, 3], [1, 2, 3]], np.float32)
    net = Net(GraphBuilder("softmax"), training=False)
    values = [net.b.input(name, Type((Batch(), 3))) for name in ("x", "ids")]
    net.masks[values[0]] = net.b.op("greater", values[1], net.b.constant(0.0))
    y = net.apply("softmax", read_entry("layer", {"type": "Softmax"}, ""), (values[0],))
    found = interpret(net.b.finish(y=y), {"x": x, "ids": ids})["y"]
    np.testing.assert_allclose(found, [[np.exp(1) / (np.exp(1) + np.exp(3)), 0, np.exp(3) / (np.exp(1) + np.exp(3))],
                                       [0, 0, 0]], rtol=1e-6)


def test_merging_counts_what_counts_in_any_input_if_all_have_masks():
    other = np.array([[[0, 0], [0, 0], [1, 1]], [[1, 1], [0, 0], [0, 0]]], np.float32)
    both = (MASKING, ({"type": "Masking"}, ["z"]))
    feeds = {"x": X, "z": other}
    np.testing.assert_array_equal(run(*both, ({"type": "Add"}, [0, 1]), feeds=feeds)[1], [[1, 0, 1], [1, 0, 1]])
    assert run(*both, ({"type": "Add"}, [0, "z"]), feeds=feeds)[1] is None


@pytest.mark.parametrize(("axis", "reads", "expected"), [
    (1, [0, 1], [[1, 0, 1, 0, 0, 1], [0, 0, 1, 1, 0, 0]]), (1, [0, "z"], [[1, 0, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1]]),
    (-1, [0, 1], [[1, 0, 1], [1, 0, 1]]), (2, ["x", 1], [[1, 1, 1], [1, 1, 1]]),
])
def test_concatenated_masks(axis, reads, expected):
    other = np.array([[[0, 0], [0, 0], [1, 1]], [[1, 1], [0, 0], [0, 0]]], np.float32)
    stages = (MASKING, ({"type": "Masking"}, ["z"]), ({"type": "Concatenate", "axis": axis}, reads))
    np.testing.assert_array_equal(run(*stages, feeds={"x": X, "z": other})[1], expected)
