"""Hostile weights files: each is refused with one sentence, without a crash, a hang or memory taken on its word."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import formats, registry
from engine.errors import WeightsError
from engine.formats.documents import MAX_BYTES
from engine.formats.safetensors import write_tensors

FORMATS = sorted(name for name in registry.entries("weights_format") if not formats.weights_format(name).whole_model)
F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def raw(header, data: bytes = b"\0" * 8, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


HOSTILE_SAFETENSORS = {
    "empty": (b"", "empty"),
    "short": (b"\x05\0\0", "received something else"),
    "truncated header": (raw({"x": F32}, b"", 10_000), "truncated"),
    "a header as long as memory": (raw({"x": F32}, length=2**63), "truncated"),
    "a header of 2^64 - 1 bytes": (raw({"x": F32}, length=2**64 - 1), "truncated"),
    "not JSON": (raw(b"{nope"), "expected JSON"),
    "not UTF-8": (raw(b'{"\xff": 1}'), "expected JSON"),
    "trailing JSON": (raw(b"{} {}"), "expected JSON"),
    "NaN": (raw(b'{"x": NaN}'), "NaN"),
    "1e400": (raw(b'{"x": 1e400}'), "float64"),
    "5,000 digits": (raw(b'{"x": ' + b"9" * 5000 + b"}"), "expected JSON"),
    "10,000 deep": (raw(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "depth"),
    "a key twice": (raw(b'{"x": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}, '
                        b'"x": {"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'), "twice"),
    "texts that are none": (raw({"__metadata__": {"a": 1}, "x": F32}), "__metadata__"),
    "texts as a list": (raw({"__metadata__": ["a"], "x": F32}), "__metadata__"),
    "an entry that is a number": (raw({"x": 1}), "dtype, shape and data_offsets"),
    "an entry with more": (raw({"x": {**F32, "pickle": "x"}}), "dtype, shape and data_offsets"),
    "an unknown dtype": (raw({"x": {**F32, "dtype": "BF16"}}), "expected a dtype"),
    "a dtype that is a list": (raw({"x": {**F32, "dtype": ["F32"]}}), "expected a dtype"),
    "a wrong dtype for its bytes": (raw({"x": {**F32, "dtype": "F64"}}), "expected 16 bytes"),
    "a negative shape": (raw({"x": {**F32, "shape": [-2]}}), "sizes"),
    "a shape of booleans": (raw({"x": {**F32, "shape": [True, 2]}}), "sizes"),
    "a shape of floats": (raw({"x": {**F32, "shape": [2.0]}}), "sizes"),
    "a huge shape": (raw({"x": {**F32, "shape": [65536, 65536]}}), "bytes for shape"),
    "a shape that overflows": (raw({"x": {**F32, "shape": [2**62, 2**62, 4]}}), "bytes for shape"),
    "a shape beyond 64 bits": (raw({"x": {**F32, "shape": [2**64]}}), "sizes"),
    "too many dimensions": (raw({"x": {**F32, "shape": [1] * 9}}), "sizes"),
    "one offset": (raw({"x": {**F32, "data_offsets": [0]}}), "rising offsets"),
    "offsets that fall": (raw({"x": {**F32, "data_offsets": [8, 0]}}), "rising offsets"),
    "negative offsets": (raw({"x": {**F32, "data_offsets": [-8, 0]}}), "rising offsets"),
    "offsets beyond the end": (raw({"x": {**F32, "data_offsets": [8, 16]}}), "rising offsets"),
    "truncated data": (raw({"x": F32}, b"\0" * 7), "rising offsets"),
    "trailing bytes": (raw({"x": F32}, b"\0" * 9), "received 9"),
    "overlapping tensors": (raw({"x": F32, "y": {**F32, "data_offsets": [4, 12]}}, b"\0" * 12), "overlaps"),
    "the same bytes twice": (raw({"x": F32, "y": F32}), "overlaps"),
    "a gap between tensors": (raw({"x": F32, "y": {**F32, "data_offsets": [12, 20]}}, b"\0" * 20), "gap"),
    "bytes that are no booleans": (raw({"x": {**F32, "dtype": "BOOL", "shape": [8]}}, b"\7" * 8), "0 and 1"),
    **{f"a name like {name!r}": (raw({name: F32}), "name") for name in (
        "../../x", "/etc/passwd", "a/../b", "./a", "a//b", "a/", "", "a\\b", "a\0b", "a\nb", "C:/x", "x" * 501)},
}


@pytest.mark.parametrize("case", HOSTILE_SAFETENSORS)
def test_hostile_safetensors(tmp_path, case):
    content, expected = HOSTILE_SAFETENSORS[case]
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=expected) as caught:
        formats.read(path)
    assert len(str(caught.value)) < 600


def test_a_header_of_100_mb_is_refused_unread(tmp_path):
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 100_000_000) + b"{")
        file.truncate(100_000_008)
    with pytest.raises(WeightsError, match="at most 16777216 bytes, received 100000000"):
        formats.read(path)


def test_too_many_tensors(tmp_path):
    entry = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    path = tmp_path / "x"
    path.write_bytes(raw({str(index): entry for index in range(100_001)}, b""))
    with pytest.raises(WeightsError, match="at most 100000 tensors"):
        formats.read(path)


def test_a_header_that_a_reader_would_refuse_is_not_written(tmp_path):
    with pytest.raises(WeightsError, match="at most"):
        write_tensors(tmp_path / "x", {}, {"a": "x" * MAX_BYTES})
    assert os.listdir(tmp_path) == []


def npy(array=None, header: bytes | None = None, data: bytes = b"") -> bytes:
    if header is None:
        file = io.BytesIO()
        np.lib.format.write_array(file, np.zeros(2, np.float32) if array is None else array, allow_pickle=True)
        return file.getvalue()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def described(descr: str, shape: str) -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()


def archive(entries, **options) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as written:
        for name, data in entries:
            written.writestr(name, data)
    return file.getvalue()


def one(data: bytes) -> bytes:
    return archive([("a.npy", data)])


def good(name: str = "a/b.npy") -> tuple[str, bytes]:
    return name, npy()


HOSTILE_NPZ = {
    "truncated": (archive([good()])[:-30], "ends too early"),
    "Python objects": (one(npy(np.array([{}, "x"], object))), "received"),
    "a structured type": (one(npy(np.zeros(2, [("x", "f4")]))), "floats"),
    "dates": (one(npy(np.zeros(2, "M8[s]"))), "floats"),
    "texts": (one(npy(np.array(["x"]))), "floats"),
    "complex numbers": (one(npy(np.zeros(2, "c8"))), "floats"),
    "extended floats": (one(npy(np.zeros(2, np.longdouble))), "floats"),
    "80 bytes that claim 16 GB": (one(npy(header=described("'<f4'", "(65536, 65536)"))), "17179869184"),
    "a shape that overflows": (one(npy(header=described("'<f4'", "(4611686018427387904, 4)"))), "bytes for"),
    "a negative shape": (one(npy(header=described("'<f4'", "(-2,)"))), "sizes of at least 0"),
    "too many dimensions": (one(npy(header=described("'<f4'", str((1,) * 20)), data=b"\0" * 4)), "sizes"),
    "a truncated array": (one(npy()[:-1]), "received 7"),
    "trailing bytes": (one(npy() + b"x"), "received 9"),
    "a header that is code": (one(npy(header=b"__import__('os').system('true')\n")), "npy array"),
    "a header of 60,000 bytes": (one(npy(header=described("'<f4'", "(0,)") + b" " * 60_000)), "npy array"),
    "not an array": (one(b"hello"), "npy array"),
    "an unknown version": (one(b"\x93NUMPY\x09\x00"), "npy array"),
    "a file that is not an array": (archive([good(), ("run.sh", b"rm")]), "entries"),
    "a PyTorch file": (archive([("archive/data.pkl", b"\x80\x02."), ("archive/data/0", b"\0")]), "pickle"),
    "metadata that is not JSON": (archive([good(), ("stoker.json", b"{")]), "metadata"),
    "metadata that is a list": (archive([good(), ("stoker.json", b"[]")]), "metadata"),
    **{f"a name like {name!r}": (archive([good(f"{name}.npy")]), "name|path") for name in (
        "../../x", "/etc/passwd", "a/../b", "a\\b", "a\nb")},
}


@pytest.mark.parametrize("case", HOSTILE_NPZ)
def test_hostile_npz(tmp_path, case):
    content, expected = HOSTILE_NPZ[case]
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=expected) as caught:
        formats.read(path)
    assert len(str(caught.value)) < 600


def test_an_archive_bomb(tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(archive([("a.npy", b"\0" * 300_000_000)], compression=zipfile.ZIP_DEFLATED))
    with pytest.raises(WeightsError, match="expected at most"):
        formats.read(path)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_name_that_occurs_twice(tmp_path):
    (tmp_path / "x.npz").write_bytes(archive([good(), good()]))
    with pytest.raises(WeightsError, match="twice"):
        formats.read(tmp_path / "x.npz")


@pytest.mark.parametrize(("content", "what"), [
    (pickle.dumps({"x": 1}), "pickle"), (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "HDF5"),
    (npy(), "npy"), (b"\x1f\x8b" + b"x" * 30, "gzip"),
    (b"<html>", "markup"), (b"hello", "something else"), (b"", "empty"),
])
def test_files_of_other_kinds_are_told_apart_and_never_opened(tmp_path, content, what):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(WeightsError, match=what):
        formats.read(tmp_path / "x")


def good_file(path: Path, format: str) -> bytes:
    tensors = {"dense/kernel": np.ones((2, 3), np.float32), "dense/bias": np.zeros(3, np.float32)}
    metadata = formats.Metadata(definition={"layers": []}, preprocessing={}, engine_version="1")
    formats.weights_format(format).write(path, tensors, metadata)
    return path.read_bytes()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(format=st.sampled_from(FORMATS), place=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path, format, place, byte, cut):
    content = bytearray(good_file(tmp_path / "good", format))
    position = int(place * (len(content) - 1))
    content[position:] = b"" if cut else bytes([byte]) + content[position + 1:]
    (tmp_path / "bad").write_bytes(content)
    try:
        formats.read(tmp_path / "bad")
    except WeightsError as error:
        assert str(error)
