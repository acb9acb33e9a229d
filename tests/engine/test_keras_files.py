"""Keras's own files, written and read: everything that goes in comes out, and what is hostile or odd is refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from engine import formats
from engine.definition.model import parse_model
from engine.errors import WeightsError
from engine.formats import Metadata
from engine.graph.build import forward_graph
from engine.variables import initial_weights

IMAGE: dict[str, Any] = {"inputs": {"image": {"shape": [8, 8, 3]}}, "layers": [
    {"type": "Conv2D", "filters": 4, "kernel_size": 3, "kernel_regularizer": "l2"}, {"type": "BatchNormalization"},
    {"type": "DepthwiseConv2D", "kernel_size": 3}, {"type": "Dropout", "rate": 0.3}, {"type": "ReLU", "max_value": 6},
    {"type": "Flatten"}, {"type": "Dense", "units": 3}, {"type": "Dense", "units": 2, "activation": "softmax"}]}
BRANCHES = {"inputs": {"a": {"shape": [4]}, "b": {"shape": [4]}}, "layers": [
    {"type": "Dense", "name": "near", "inputs": ["a"], "units": 4},
    {"type": "Dense", "name": "far", "inputs": ["b"], "units": 4}, {"type": "Dense", "name": "farther", "units": 4},
    {"type": "Add", "name": "both", "inputs": ["farther", "near"]}, {"type": "Dense", "name": "last", "units": 2}]}
FORMATS = ("keras", "h5")


def trained(document):
    """Metadata and weights of a model."""
    model = parse_model(document, "")
    weights = initial_weights(forward_graph(model)[1].variables, seed=1)
    return Metadata(definition=model.to_json(), preprocessing={}, engine_version="1"), weights


def written(folder: Path, format: str, document=IMAGE) -> Path:
    metadata, weights = trained(document)
    path = folder / f"model.{format}"
    formats.weights_format(format).write(path, weights, metadata)
    return path


@pytest.mark.parametrize("document", [IMAGE, BRANCHES])
@pytest.mark.parametrize("format", FORMATS)
def test_what_goes_in_comes_out_with_equal_bytes(tmp_path, format, document):
    metadata, weights = trained(document)
    path = written(tmp_path, format, document)
    content = formats.read(path)
    assert content.metadata == metadata
    read = content.named(weights)
    assert set(read) == set(weights)
    assert all(np.array_equal(read[name], weights[name]) for name in weights)
    (tmp_path / "again").mkdir()
    assert path.read_bytes() == written(tmp_path / "again", format, document).read_bytes()


def test_inputs_and_outputs_keep_their_order_through_every_format(tmp_path):
    """Keras and people feed lists: a file must not sort them."""
    document = {"inputs": {"series": {"shape": [4]}, "facts": {"shape": [3]}}, "layers": [
        {"type": "Dense", "name": "zebra", "inputs": ["series"], "units": 2},
        {"type": "Dense", "name": "apple", "inputs": ["facts"], "units": 2}],
        "outputs": {"zebra": "zebra", "apple": "apple"}}
    metadata, weights = trained(document)
    for format in ("safetensors", "npz", "keras", "h5"):
        path = tmp_path / f"first.{format}"
        formats.weights_format(format).write(path, weights, metadata)
        found = formats.read(path).metadata
        assert found is not None
        model = parse_model(found.definition, "")
        assert list(model.inputs) == ["series", "facts"]
        assert list(model.outputs) == ["zebra", "apple"]
    with zipfile.ZipFile(tmp_path / "first.keras") as archive:
        config = json.loads(archive.read("config.json"))["config"]
    assert [entry[0] for entry in config["input_layers"]] == ["series", "facts"]
    assert [entry[0] for entry in config["output_layers"]] == ["zebra", "apple"]


def test_counts_in_whole_numbers_are_read_as_float32(tmp_path):
    """As Keras writes what a Normalization layer was adapted to."""
    path = written(tmp_path, "h5", {"inputs": {"x": {"shape": [3]}}, "layers": [{"type": "Normalization"}]})
    with h5py.File(path, "a") as file:
        variables = file["layers/normalization/vars"]
        del variables["2"]
        variables["2"] = np.int64(70)
    (count,) = [array for array in formats.read(path).tensors.values() if array.shape == ()]
    assert count.dtype == np.float32 and count == 70


def test_groups_follow_the_class_and_the_distance_from_the_output(tmp_path):
    """Of layers of one class Keras counts the one that is farthest from the outputs first."""
    with h5py.File(written(tmp_path, "h5", BRANCHES)) as file:
        named = {group: file[f"layers/{group}/vars"].attrs["name"] for group in file["layers"]}
    assert named == {"input_layer": "b", "input_layer_1": "a", "dense": "far", "dense_1": "farther", "dense_2": "near",
                     "add": "both", "dense_3": "last"}


def test_the_config_is_a_definition_again(tmp_path):
    """Without our own entry the archive is a foreign one, whose model is its config."""
    path, foreign = written(tmp_path, "keras"), tmp_path / "foreign.keras"
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(foreign, "w") as copy:
        weights = tmp_path / "model.weights.h5"
        weights.write_bytes(archive.read("model.weights.h5"))
        with h5py.File(weights, "a") as file:
            del file["stoker"]
        copy.writestr("metadata.json", archive.read("metadata.json"))
        copy.writestr("config.json", archive.read("config.json"))
        copy.write(weights, "model.weights.h5")
    content = formats.read(foreign)
    assert content.metadata is None
    assert parse_model(content.definition, "").to_json()["layers"] == parse_model(IMAGE, "").to_json()["layers"]
    _, expected = trained(IMAGE)
    assert set(content.named(expected)) == set(expected)


def test_a_tensor_that_no_variable_fits_is_listed(tmp_path):
    _, other = trained({**IMAGE, "layers": [*IMAGE["layers"][:-1], {"type": "Dense", "name": "head", "units": 2}]})
    read = formats.read(written(tmp_path, "h5")).named(other)
    with pytest.raises(WeightsError, match=r"missing tensors: head/kernel.*does not have: 'dense_1/0'"):
        formats.match({name: (array.shape, "float32") for name, array in other.items()}, read)


def hostile_link(file: h5py.File) -> None:
    file["layers/dense/vars/2"] = h5py.ExternalLink("/etc/passwd", "/")


def soft_link(file: h5py.File) -> None:
    file["layers/dense/vars/2"] = h5py.SoftLink("/layers/dense/vars/0")


def cycle(file: h5py.File) -> None:
    file["layers/dense/again"] = file["layers"]


def compressed(file: h5py.File) -> None:
    file["layers/dense/vars"].create_dataset("2", data=np.zeros((1000, 1000), "f4"), compression="gzip")


def outside(file: h5py.File) -> None:
    file["layers/dense/vars"].create_dataset("2", (100,), "f4", external=[("/etc/passwd", 0, 400)])


def unwritten(file: h5py.File) -> None:
    file["layers/dense/vars"].create_dataset("2", (1 << 40,), "f4")


def texts(file: h5py.File) -> None:
    file["layers/dense/vars"].create_dataset("2", data=["a", "b"])


def gap(file: h5py.File) -> None:
    file["layers/dense/vars"].create_dataset("7", data=[1.0])


def nameless(file: h5py.File) -> None:
    del file["layers/dense/vars"].attrs["name"]


def twice(file: h5py.File) -> None:
    file["layers/dense_1/vars"].attrs["name"] = "dense"


@pytest.mark.parametrize("spoil", [hostile_link, soft_link, cycle, compressed, outside, unwritten, texts, gap, nameless,
                                   twice], ids=lambda spoil: spoil.__name__)
def test_odd_files_are_refused(tmp_path, spoil):
    path = written(tmp_path, "h5")
    with h5py.File(path, "a") as file:
        spoil(file)
    with pytest.raises(WeightsError, match="expected"):
        formats.read(path)


@pytest.mark.parametrize("format", FORMATS)
def test_damaged_files_are_refused(tmp_path, format):
    """Cut anywhere, or with a byte changed where structure is, a file is a WeightsError or reads as before."""
    whole = written(tmp_path, format).read_bytes()
    damaged = tmp_path / "damaged"
    for length in range(1, len(whole), max(1, len(whole) // 60)):
        damaged.write_bytes(whole[:length])
        with pytest.raises(WeightsError):
            formats.read(damaged)
    random = np.random.default_rng(0)
    for _ in range(150):
        place = int(random.integers(len(whole)))
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ int(random.integers(1, 256))]) + whole[place + 1:])
        try:
            formats.read(damaged)
        except WeightsError:
            continue


def test_an_archive_without_its_parts_is_refused(tmp_path):
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({}))
    with pytest.raises(WeightsError, match=r"expected config\.json and model\.weights\.h5"):
        formats.read(path)


def test_an_activation_that_keras_cannot_store_is_named(tmp_path):
    with pytest.raises(WeightsError, match="activation: activation: Keras cannot store leaky_relu with options"):
        written(tmp_path, "keras", {"inputs": {"x": {"shape": [3]}}, "layers": [
            {"type": "Activation", "activation": {"type": "leaky_relu", "negative_slope": 0.1}}]})


def test_torch_layout(tmp_path):
    """A convolution has (out, in, height, width), a dense layer behind a Flatten takes channels first."""
    source, output = written(tmp_path, "keras"), tmp_path / "torch.safetensors"
    formats.export_weights(source, "safetensors", output, layout="torch")
    found = formats.read(output).tensors
    _, weights = trained(IMAGE)
    assert np.array_equal(found["conv2d.weight"], weights["conv2d/kernel"].transpose(3, 2, 0, 1))
    assert found["depthwise_conv2d.weight"].shape == (4, 1, 3, 3)
    assert found["batch_normalization.num_batches_tracked"].dtype == np.int64
    images = np.random.default_rng(0).standard_normal((2, 4, 4, 4)).astype("f4")
    ours = images.reshape(2, -1) @ weights["dense/kernel"]
    theirs = images.transpose(0, 3, 1, 2).reshape(2, -1) @ found["dense.weight"].T
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("format", "layout", "message"), [
    ("keras", "torch", "expected the format safetensors or npz, received keras"),
    ("npz", "jax", "expected the layout keras or torch, received 'jax'")])
def test_a_layout_that_there_is_not(tmp_path, format, layout, message):
    with pytest.raises(WeightsError, match=message):
        formats.export_weights(written(tmp_path, "keras"), format, tmp_path / "out", layout=layout)
