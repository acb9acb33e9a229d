"""npy and npz: what is read, and every kind of array that is refused."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from engine.errors import DataError

from .conftest import saved, zipped


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def header(text, data=b"", version=(1, 0)):
    encoded = text.encode("latin-1")
    width = 2 if version == (1, 0) else 4
    return b"\x93NUMPY" + bytes(version) + len(encoded).to_bytes(width, "little") + encoded + data


def describe(descr="'<f4'", order="False", shape="(2, 2)", data=bytes(16), **options):
    return header(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n", data, **options)


def refused(take, content, code, filename="x.npy", **options):
    with pytest.raises(DataError) as caught:
        take(content, filename, **options)
    assert caught.value.code == code
    return caught.value


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8",
                                   ">i2", ">u4", ">i8", ">f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 3, 2)])
def test_every_plain_dtype_and_order_is_read_right(take, dtype, order, shape):
    array = np.asarray(np.arange(np.prod(shape)).reshape(shape) % 3, dtype, order=order)
    dataset = take(npy(array), "x.npy")
    column = dataset.columns["x"]
    np.testing.assert_array_equal(column, array)
    assert column.dtype == array.dtype.newbyteorder("=")
    assert column.flags.c_contiguous


def test_headers_of_versions_two_and_three_are_read(take):
    for version in ((2, 0), (3, 0)):
        assert take(describe(version=version), "x.npy").columns["x"].shape == (2, 2)


def test_numpys_own_reader_reads_what_we_write(take, tmp_path):
    array = np.random.default_rng(0).normal(size=(7, 3)).astype(">f4")
    dataset = take(npy(array), "x.npy")
    path = tmp_path / "dataset-1" / dataset.manifest["files"][0]["name"]
    np.testing.assert_array_equal(np.load(path, allow_pickle=False), array)


@pytest.mark.parametrize(("content", "code"), [
    (lambda: npy(np.array([{}, []], object), allow_pickle=True), "array_objects"),
    (lambda: npy(np.zeros(3, [("a", "f4"), ("b", "i4")])), "array_dtype"),
    (lambda: npy(np.zeros(3, "M8[s]")), "array_dtype"),
    (lambda: npy(np.zeros(3, "m8[s]")), "array_dtype"),
    (lambda: npy(np.zeros(3, "c16")), "array_dtype"),
    (lambda: npy(np.array(["a", "b"])), "array_dtype"),
    (lambda: npy(np.array([b"a", b"b"])), "array_dtype"),
    (lambda: npy(np.zeros(3, "V8")), "array_dtype"),
    (lambda: npy(np.zeros(3, "g")), "array_dtype"),
    (lambda: describe(descr="'<f4,<f4'"), "array_dtype"),
    (lambda: describe(descr="'|O'"), "array_objects"),
    (lambda: describe(descr="__import__('os')"), "array_malformed"),
    (lambda: describe(shape="(65536, 65536)"), "array_truncated"),
    (lambda: describe(shape="(9223372036854775807, 9223372036854775807)"), "array_truncated"),
    (lambda: describe(shape="(-1, 4)"), "array_shape"),
    (lambda: describe(shape="(2.0, 2)"), "array_shape"),
    (lambda: describe(shape="(True, 4)"), "array_shape"),
    (lambda: describe(shape="[2, 2]"), "array_shape"),
    (lambda: describe(shape="(" + "1," * 9 + ")"), "array_shape"),
    (lambda: describe(shape="()", data=bytes(4)), "array_shape"),
    (lambda: describe(shape="(0, 4)", data=b""), "no_examples"),
    (lambda: describe(shape="(4, 0)", data=b""), "array_shape"),
    (lambda: describe(order="0"), "array_malformed"),
    (lambda: describe(data=bytes(15)), "array_truncated"),
    (lambda: describe(data=bytes(17)), "array_trailing_bytes"),
    (lambda: header("{'descr': '<f4', 'shape': (1,)}"), "array_malformed"),
    (lambda: header("(" * 1500), "array_malformed"),
    (lambda: header("9" * 4090), "array_malformed"),
    (lambda: header("{" * 4000), "array_malformed"),
    (lambda: header("x" * 5000), "array_header_too_large"),
    (lambda: b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "array_header_too_large"),
    (lambda: b"\x93NUMPY\x04\x00\x10\x00{", "array_malformed"),
    (lambda: b"\x93NUMPY\x01\x00", "array_truncated"),
    (lambda: npy(np.array([1.0, np.inf])), "not_finite"),
    (lambda: npy(np.array([1.0, -np.inf], np.float16)), "not_finite"),
    (lambda: npy(np.array([1.0, 1e39])), "not_finite"),
    (lambda: npy(np.full((2, 2, 2), np.nan)), "not_finite"),
])
def test_bad_arrays_are_refused(take, content, code):
    refused(take, content(), code)
    error = refused(take, zipped({"x.npy": content()}), code, filename="x.npz")
    assert "x" in error.where


def test_nan_in_a_table_is_a_missing_value(take):
    dataset = take(npy(np.array([[1.0, np.nan], [3.0, 4.0]])), "x.npy")
    assert dataset.manifest["profile"]["x"]["missing"] == 1
    assert dataset.manifest["preview"][0]["x"] == [1.0, None]


def test_arrays_of_different_lengths_are_refused(take):
    error = refused(take, saved(x=np.zeros((5, 2)), y=np.zeros(4)), "length_mismatch", "x.npz")
    assert error.where == "array 'y'"
    assert "expected 5 rows as in 'x' (train), received 4" in error.detail


def test_labels_out_of_range_are_refused(take):
    content = saved(x=np.zeros((3, 2)), y=np.array([0, 1, 2]))
    assert take(content, "x.npz", classes=["a", "b", "c"]).manifest["classes"] == ["a", "b", "c"]
    assert "from 0 to 1, received 2" in refused(take, content, "label_out_of_range", "x.npz", classes=["a", "b"]).detail
    refused(take, saved(x=np.zeros(2), y=np.array([0, -1])), "label_out_of_range", "x.npz", classes=["a", "b"])
    refused(take, saved(x=np.zeros(2), y=np.array([0.0, 1.0])), "label_dtype", "x.npz", classes=["a", "b"])


def test_splits_must_agree(take):
    zeros = np.zeros((3, 2))
    refused(take, saved(x_train=zeros, y_train=np.zeros(3), x_test=zeros), "arrays_missing", "x.npz")
    refused(take, saved(x_test=zeros), "arrays_missing", "x.npz")
    refused(take, saved(x_train=zeros, x_test=np.zeros((3, 4))), "splits_differ", "x.npz")
    refused(take, saved(x_train=zeros, x_test=zeros.astype(np.float32)), "splits_differ", "x.npz")
    dataset = take(saved(x_test=zeros[:1], x_train=zeros, x_val=zeros[:2]), "x.npz")
    assert dataset.manifest["splits"] == {"train": [0, 3], "validation": [3, 5], "test": [5, 6]}


def test_an_npz_holds_arrays_only(take):
    refused(take, zipped({"x.npy": npy(np.zeros(2)), "readme.txt": b"hello"}), "npz_entry", "x.npz")
    refused(take, zipped({}), "no_examples", "x.npz")
    refused(take, zipped({"x.npy": b"no array"}), "array_malformed", "x.npz")


def test_no_pickle_is_ever_loaded(take, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    content = saved(x=np.array([Evil()], object))
    refused(take, content, "array_objects", "x.npz")
    assert not (tmp_path / "written").exists()


def test_an_unknown_target_is_refused(take):
    error = refused(take, saved(pixels=np.zeros(2), digit=np.zeros(2)), "unknown_column", "x.npz", target="digits")
    assert "did you mean 'digit'" in error.detail


def test_compressed_and_stored_archives_give_the_same_dataset(take):
    rng = np.random.default_rng(0)
    arrays = {"x": rng.normal(size=(300, 7)), "y": rng.integers(0, 3, 300)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    assert take(saved(**arrays), "a.npz").sha256 == take(buffer.getvalue(), "b.npz").sha256


def test_a_deflated_bomb_of_zeros_within_the_limit_streams(take):
    content = zipped({"x.npy": npy(np.zeros((2_000_000, 4), np.float32))}, zipfile.ZIP_DEFLATED)
    assert len(content) < 60_000
    assert take(content, "x.npz").columns["x"].shape == (2_000_000, 4)
