"""Weights files: what goes in comes out, and equal content has equal bytes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine import formats, registry
from engine.errors import WeightsError
from engine.formats import Metadata, WeightsFile
from engine.formats.base import renamed
from engine.formats.safetensors import read_tensors

FORMATS = sorted(name for name in registry.entries("weights_format") if not formats.weights_format(name).whole_model)
METADATA = Metadata(definition={"layers": [{"type": "Dense", "units": 3}]}, preprocessing={"steps": []},
                    classes=("cat", "dög"), metrics={"loss": 0.25, "val_loss": 1e-30}, engine_version="1")
TENSORS = {"dense/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "dense/bias": np.zeros(3, np.float32),
           "batch_normalization/moving_mean": np.full(3, 0.5, np.float32)}


def write(path: Path, format: str, tensors=TENSORS, metadata=METADATA) -> Path:
    formats.weights_format(format).write(path, tensors, metadata)
    return path


def same(left, right) -> None:
    assert set(left) == set(right)
    for name, tensor in left.items():
        assert tensor.dtype == right[name].dtype and tensor.shape == right[name].shape
        assert tensor.tobytes() == right[name].tobytes()


@pytest.mark.parametrize("format", FORMATS)
def test_what_goes_in_comes_out(tmp_path, format):
    content = formats.read(write(tmp_path / "a", format))
    same(content.tensors, TENSORS)
    assert content.metadata == METADATA
    assert not any(tensor.flags.writeable for tensor in content.tensors.values())


dtypes = st.sampled_from(["f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "u4", "u8", "?", ">f4", ">i8"])
arrays = dtypes.flatmap(lambda code: hnp.arrays(np.dtype(code), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0)))
names = st.lists(st.text("abcXYZ019_-. ü", min_size=1, max_size=8).filter(lambda part: part not in (".", "..")),
                 min_size=1, max_size=3).map("/".join)


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tensors=st.dictionaries(names, arrays, max_size=5), fortran=st.booleans())
def test_any_tensors_come_back(tmp_path, format, tensors, fortran):
    laid = {name: np.asarray(tensor, order="F") if fortran else tensor for name, tensor in tensors.items()}
    first, second = write(tmp_path / "a", format, laid), write(tmp_path / "b", format, dict(reversed(laid.items())))
    assert first.read_bytes() == second.read_bytes()
    content = formats.read(first)
    same(content.tensors, {name: tensor.astype(tensor.dtype.newbyteorder("=")) for name, tensor in tensors.items()})
    assert all(tensor.flags.aligned and tensor.flags.c_contiguous for tensor in content.tensors.values())


keys = st.text(max_size=5)
plain = (st.none() | st.booleans() | st.integers(-2**60, 2**60) | st.text(max_size=8)
         | st.floats(allow_nan=False, allow_infinity=False))
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
                      max_leaves=8)


@given(st.dictionaries(keys, values, max_size=3), st.none() | st.lists(keys).map(tuple))
def test_any_metadata_come_back(document, classes):
    metadata = Metadata(definition=document, preprocessing=document, classes=classes, metrics={}, engine_version="1")
    assert Metadata.from_text(metadata.to_text()) == metadata


def test_metrics_that_are_not_finite_become_null():
    metadata = Metadata(definition={}, preprocessing={}, metrics={"loss": float("nan"), "best": {"x": float("inf")}},
                        engine_version="1")
    assert Metadata.from_text(metadata.to_text()).metrics == {"loss": None, "best": {"x": None}}


@pytest.mark.parametrize("format", FORMATS)
def test_export_gives_the_same_content_and_the_same_bytes(tmp_path, format):
    source = write(tmp_path / "source", "safetensors")
    formats.export_weights(source, format, tmp_path / "exported")
    same(formats.read(tmp_path / "exported").tensors, TENSORS)
    assert (tmp_path / "exported").read_bytes() == write(tmp_path / "direct", format).read_bytes()


def test_others_read_our_files_and_we_read_theirs(tmp_path):
    path = write(tmp_path / "ours.safetensors", "safetensors")
    same(safetensors.numpy.load_file(path), TENSORS)
    with safetensors.safe_open(path, "numpy") as file:
        assert json.loads(file.metadata()["stoker"])["classes"] == ["cat", "dög"]
    safetensors.numpy.save_file(TENSORS, tmp_path / "theirs.safetensors", {"note": "x"})
    content = formats.read(tmp_path / "theirs.safetensors")
    same(content.tensors, TENSORS)
    assert content.metadata is None

    with np.load(write(tmp_path / "ours.npz", "npz")) as archive:
        same({name: archive[name] for name in TENSORS}, TENSORS)
        assert json.loads(archive["stoker.json"])["engine_version"] == "1"
    np.savez_compressed(tmp_path / "theirs.npz", **TENSORS)  # type: ignore[arg-type]
    same(formats.read(tmp_path / "theirs.npz").tensors, TENSORS)


def test_a_foreign_file_is_not_exported(tmp_path):
    safetensors.numpy.save_file(TENSORS, tmp_path / "theirs.safetensors")
    with pytest.raises(WeightsError, match="metadata"):
        formats.export_weights(tmp_path / "theirs.safetensors", "npz", tmp_path / "out")


def test_an_unknown_format_lists_those_there_are():
    with pytest.raises(WeightsError, match=r"onnx, safetensors, received 'safetensor'; did you mean 'safetensors'"):
        formats.weights_format("safetensor")


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    path = write(tmp_path / "a", "safetensors")
    before = path.read_bytes()
    with pytest.raises(WeightsError, match="complex"):
        write(path, "safetensors", {"x": np.zeros(2, np.complex64)})
    with pytest.raises(WeightsError, match="name"):
        write(path, "npz", {"x": np.zeros(2), "../x": np.zeros(2)})
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a"]


def test_tensors_are_mapped_and_not_copied(tmp_path):
    tensors, _ = read_tensors(write(tmp_path / "a", "safetensors"))
    base = tensors["dense/kernel"]
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert isinstance(base, np.memmap)


def test_bits_that_only_memory_knows_survive(tmp_path):
    odd = np.array([0x7FC00001, 0xFF800000, 0x80000000, 0x00000001], np.uint32).view(np.float32)
    for format in FORMATS:
        assert formats.read(write(tmp_path / "a", format, {"x": odd})).tensors["x"].tobytes() == odd.tobytes()


# Metadata and matching ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "expected"), [
    ({"format_version": 2}, "format_version 1, received 2"), ({"format_version": True}, "format_version"),
    ({"definition": []}, "definition"), ({"classes": "abc"}, "classes"), ({"engine_version": 1}, "engine_version"),
    ({"code": "x"}, "code"),
])
def test_metadata_are_read_strictly(change, expected):
    document = {**json.loads(METADATA.to_text()), **change}
    with pytest.raises(WeightsError, match=expected):
        Metadata.from_text(json.dumps(document))


def test_metadata_without_a_part_are_refused():
    document = json.loads(METADATA.to_text())
    del document["preprocessing"]
    with pytest.raises(WeightsError, match="preprocessing"):
        Metadata.from_text(json.dumps(document))


EXPECTED = {name: (tensor.shape, "float32") for name, tensor in TENSORS.items()}


def test_matching_tensors():
    formats.match(EXPECTED, TENSORS)


def test_all_differences_are_listed_together():
    received: dict[str, np.ndarray] = {"dense/kernel": np.zeros((3, 2), np.float32), "dense/bias": np.zeros(3),
                                       "dense_1/kernel": np.zeros(1)}
    with pytest.raises(WeightsError) as caught:
        formats.match(EXPECTED, received)
    message = str(caught.value)
    assert "missing tensors: batch_normalization/moving_mean (3,)" in message
    assert "the model does not have: 'dense_1/kernel' (1,)" in message
    assert "dense/kernel: expected (2, 3), received (3, 2)" in message
    assert "dense/bias: expected float32, received float64" in message


def test_a_long_list_of_differences_is_counted():
    with pytest.raises(WeightsError, match="and 90 more") as caught:
        formats.match({f"layer_{index}/kernel": ((1,), "float32") for index in range(100)}, {})
    assert len(str(caught.value)) < 600


def test_parts_of_layers_that_keras_numbers_among_all_are_found():
    file = ["dense", "td/dense_4", "pipe/dense_9", "pipe/dense_10", "pipe/other_2", "bi/forward_lstm_3/lstm_cell"]
    model = ["dense", "td/dense", "pipe/dense", "pipe/dense_1", "pipe/else", "bi/forward_lstm/lstm_cell"]
    found = {name: called for name, called in renamed(file, model).items() if name != called}
    assert found == {"td/dense_4": "td/dense", "pipe/dense_9": "pipe/dense", "pipe/dense_10": "pipe/dense_1",
                     "bi/forward_lstm_3": "bi/forward_lstm", "bi/forward_lstm_3/lstm_cell": "bi/forward_lstm/lstm_cell"}
    others = renamed(["dense_1", "td/dense_2"], ["dense", "td/dense_3", "td/dense_4"])
    assert all(name == called for name, called in others.items())


def test_what_keras_lists_again_is_passed_over():
    kernel, bias, vector = (np.zeros(shape, np.float32) for shape in ((4, 3), (3,), (1, 3)))
    file = WeightsFile({"sn/0": kernel, "sn/1": vector, "sn/dense_2/0": kernel, "sn/dense_2/1": bias}, None,
                       numbered=True)
    named = file.named(["sn/dense/kernel", "sn/vector_u", "sn/dense/bias"])
    assert {name: array.shape for name, array in named.items()} == {
        "sn/dense/kernel": (4, 3), "sn/vector_u": (1, 3), "sn/dense/bias": (3,)}
