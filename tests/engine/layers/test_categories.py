"""Layers of whole numbers and of sizes: what they refuse and where, and what no drawn configuration shows."""

from __future__ import annotations

import numpy as np
import pytest

from engine.definition.model import parse_model
from engine.errors import DefinitionError
from engine.graph.build import forward_graph
from engine.graph.interpret import interpret


def outputs(layers, **inputs):
    model = parse_model({"inputs": {name: {"shape": list(array.shape[1:])} for name, array in inputs.items()},
                         "layers": layers}, "")
    fed = {name: np.asarray(array, np.float32) for name, array in inputs.items()}
    return interpret(forward_graph(model)[0], fed, {})


REFUSED = [
    ({"type": "Resizing", "height": 0, "width": 2}, [4, 4, 1], "/height", "at least 1"),
    ({"type": "Resizing", "height": 2, "width": 2, "interpolation": "cubic"}, [4, 4, 1], "/interpolation", "bicubic"),
    ({"type": "Resizing", "height": 2, "width": 2, "fill_mode": "reflect"}, [4, 4, 1], "/fill_mode", "constant"),
    ({"type": "Resizing", "height": 2, "width": 2, "crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True},
     [4, 4, 1], "/pad_to_aspect_ratio", "false beside crop_to_aspect_ratio"),
    ({"type": "Resizing", "height": 2, "width": 2}, [4, 4], "", "height, width, channels"),
    ({"type": "CategoryEncoding", "num_tokens": 3}, [4, 4], "", "rank 2 (batch, places) for multi_hot"),
    ({"type": "CategoryEncoding", "num_tokens": 3, "sparse": True}, [4], "/sparse", "no sparse arrays"),
    ({"type": "Discretization", "num_bins": 4}, [4], "/bin_boundaries", "required"),
    ({"type": "Discretization", "num_bins": 4, "bin_boundaries": None}, [4], "/bin_boundaries", "data.preprocessing"),
    ({"type": "Discretization", "bin_boundaries": [1, 0]}, [4], "/bin_boundaries", "ascending"),
    ({"type": "STFTSpectrogram", "frame_length": 9}, [8, 1], "/frame_length", "at most the 8 samples"),
    ({"type": "STFTSpectrogram", "frame_length": 4, "frame_step": 5}, [8, 1], "/frame_step", "at most frame_length"),
    ({"type": "STFTSpectrogram", "mode": "angle"}, [8, 1], "/mode", "one of log"),
    ({"type": "MelSpectrogram", "fft_length": 16}, [8], "/fft_length", "less than twice the 8 samples"),
    ({"type": "MelSpectrogram", "sequence_length": 5000}, [800], "/sequence_length", "at most fft_length"),
    ({"type": "MelSpectrogram", "max_freq": 10}, [4000], "/min_freq", "below max_freq"),
    ({"type": "IntegerLookup", "vocabulary": None}, [4], "/vocabulary", "data.preprocessing"),
    ({"type": "IntegerLookup", "vocabulary": [1, 1]}, [4], "/vocabulary", "different integers"),
    ({"type": "IntegerLookup", "vocabulary": [1, 2], "mask_token": 2}, [4], "/vocabulary", "at its beginning"),
    ({"type": "IntegerLookup", "vocabulary": [1, 2], "max_tokens": 2}, [4], "/max_tokens", "at least 3"),
    ({"type": "IntegerLookup", "vocabulary": [1], "pad_to_max_tokens": True}, [4], "/max_tokens", "pad_to_max_tokens"),
    ({"type": "IntegerLookup", "vocabulary": [1], "invert": True, "output_mode": "count"}, [4], "/output_mode", "int"),
]


@pytest.mark.parametrize(("layer", "shape", "option", "said"), REFUSED)
def test_what_is_refused_is_pointed_at(layer, shape, option, said):
    with pytest.raises(DefinitionError) as refused:
        parse_model({"inputs": {"x": {"shape": shape}}, "layers": [layer]}, "")
    (fault,) = refused.value.faults
    assert fault.pointer == f"/layers/0{option}"
    assert said in fault.detail


def test_counts_may_be_weighted():
    y = outputs([{"type": "CategoryEncoding", "num_tokens": 3, "output_mode": "count", "name": "y",
                  "inputs": {"inputs": "x", "count_weights": "w"}}],
                x=np.array([[0, 2, 2], [1, 1, 1]]), w=np.array([[0.5, 1, 2], [1, 1, -1]]))["y"]
    np.testing.assert_array_equal(y, [[0.5, 0, 3], [0, 1, 0]])


def test_a_vocabulary_may_begin_with_the_special_tokens_that_keras_lists():
    x = np.array([[0, 7, 9, 4]])
    for vocabulary in ([0, -1, 9, 7], [9, 7]):
        y = outputs([{"type": "IntegerLookup", "vocabulary": vocabulary, "mask_token": 0, "name": "y"}], x=x)["y"]
        np.testing.assert_array_equal(y, [[0, 3, 2, 1]])


def test_unknown_integers_without_a_place_are_none():
    y = outputs([{"type": "IntegerLookup", "vocabulary": [9], "num_oov_indices": 0, "name": "y"}], x=np.array([[9, 8]]))
    np.testing.assert_array_equal(y["y"], [[0, -1]])
