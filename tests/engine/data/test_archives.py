"""Hostile zip archives: each is refused with its own code before anything is unpacked."""

from __future__ import annotations

import io
import stat
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from engine.data import limits
from engine.data.archive import Archive
from engine.errors import DataError

from .conftest import picture, saved, zipped

PICTURE = picture()


def refused(take, content, code, filename="pets.zip", **options):
    with pytest.raises(DataError) as caught:
        take(content, filename, **options)
    assert caught.value.code == code
    return caught.value


@pytest.fixture
def entries(tmp_path):
    def run(content):
        path = tmp_path / "archive.zip"
        path.write_bytes(content)
        with Archive(path) as archive:
            return {entry.name: archive.read(entry, 1 << 30) for entry in archive.entries}

    return run


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_it_reads_is_what_was_written(entries, method):
    rng = np.random.default_rng(0)
    contents = {"a/empty": b"", "a/short.bin": b"x", "b/zeros": bytes(5_000_000), "ünicode/ñ": b"y",
                "c/noise": rng.integers(0, 256, 3_000_000, np.uint8).tobytes()}
    assert entries(zipped(contents, method)) == contents


def test_more_entries_than_a_plain_zip_can_count_are_read(entries):
    contents = {f"{number}": b"" for number in range(66_000)}
    assert len(entries(zipped(contents))) == 66_000


def test_folders_comments_and_streamed_entries_are_read(entries):
    class Unseekable(io.BytesIO):
        def seekable(self):
            return False

        def tell(self):
            raise OSError

        def seek(self, *args):
            raise OSError

    buffer = Unseekable()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/", b"")
        archive.writestr("folder/a", b"streamed with a data descriptor")
        archive.comment = b"PK\x05\x06 a comment that looks like an end"
    assert entries(buffer.getvalue()) == {"folder/a": b"streamed with a data descriptor"}


@pytest.mark.parametrize("name", [
    "../evil/1.png", "cat/../../1.png", "/cat/1.png", "C:/cat/1.png", "c:1.png", "cat\\1.png", "cat/./1.png",
    "cat//1.png", "cat/\x011.png", "cat/\u202e1.png", "x" * 2000 + "/1.png",
])
def test_unsafe_names_are_refused(take, name):
    error = refused(take, zipped({name: PICTURE}), "archive_unsafe_name")
    assert len(error.where) < 200


def test_a_nul_in_a_name_is_refused(take):
    content = zipped({"cat/0xpng": PICTURE}).replace(b"cat/0xpng", b"cat/0\0png")
    refused(take, content, "archive_unsafe_name")


def test_a_name_that_is_not_utf8_though_it_says_so_is_refused(take):
    content = zipped({"cat/ö.png": PICTURE}).replace("ö".encode(), b"\xff\xff")
    refused(take, content, "archive_unsafe_name")


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_are_refused(take, mode):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("cat/1.png")
        info.create_system = 3
        info.external_attr = (mode | 0o777) << 16
        archive.writestr(info, b"/etc/passwd")
    refused(take, buffer.getvalue(), "archive_link")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicates_are_refused(take):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("cat/1.png", PICTURE)
        archive.writestr("cat/1.png", PICTURE)
    refused(take, buffer.getvalue(), "archive_duplicate")


def test_a_bomb_is_refused_by_its_declared_size(take, monkeypatch):
    monkeypatch.setattr(limits, "FREE_EXPANSION_BYTES", 1 << 20)
    content = zipped({f"cat/{number}.png": bytes(1_000_000) for number in range(8)}, zipfile.ZIP_DEFLATED)
    refused(take, content, "archive_bomb")


def test_a_bomb_that_lies_about_its_size_unpacks_no_more_than_declared(tmp_path):
    data = zlib.compress(bytes(60_000_000), wbits=-15)
    path = tmp_path / "liar.zip"
    path.write_bytes(forged([("cat/1.png", data, 1000)]))
    tracemalloc.start()
    with Archive(path) as archive, pytest.raises(DataError) as caught:
        archive.read(archive.entries[0], 1 << 30)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.code == "archive_bomb"
    assert peak < 10_000_000


def test_an_entry_above_the_limit_is_refused_before_it_is_unpacked(take):
    refused(take, zipped({"cat/1.png": bytes(limits.MAX_IMAGE_BYTES + 1)}), "entry_too_large")


def forged(entries, *, offsets=None, count=None, extra=b""):
    """A zip archive of deflated entries (name, data, declared size), some of its numbers as told."""
    body, directory = b"", b""
    for number, (name, data, size) in enumerate(entries):
        offset = len(body) if offsets is None else offsets[number]
        fields = struct.pack("<HHHHHIII", 20, 0, 8, 0, 0, 0, len(data), size)
        body += b"PK\x03\x04" + fields + struct.pack("<HH", len(name), 0) + name.encode() + data
        directory += (b"PK\x01\x02" + struct.pack("<H", 20) + fields
                      + struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, offset) + name.encode())
    total = len(entries) if count is None else count
    return (body + directory + extra
            + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, total, total, len(directory), len(body), 0))


def test_overlapping_entries_are_refused(take):
    data = zlib.compress(PICTURE, wbits=-15)
    refused(take, forged([("cat/1.png", data, len(PICTURE)), ("cat/2.png", data, len(PICTURE))], offsets=[0, 0]),
            "archive_overlap")
    refused(take, forged([("cat/1.png", data, len(PICTURE)), ("cat/2.png", data, len(PICTURE))], offsets=[0, 20]),
            "archive_overlap")


def test_a_million_entries_are_refused(take, monkeypatch):
    data = zlib.compress(b"", wbits=-15)
    refused(take, forged([("cat/1.png", data, 0)], count=65_534), "archive_malformed")
    monkeypatch.setattr(limits, "MAX_ENTRIES", 100)
    refused(take, zipped({f"cat/{number}.png": b"" for number in range(101)}), "archive_too_many_entries")


def test_a_directory_with_more_entries_than_it_declares_is_refused(take):
    content = bytearray(zipped({"cat/1.png": PICTURE, "cat/2.png": PICTURE}))
    end = content.rfind(b"PK\x05\x06")
    content[end + 8:end + 12] = struct.pack("<HH", 1, 1)
    refused(take, bytes(content), "archive_malformed")


@pytest.mark.parametrize("name", ["cat/inner.zip", "cat/inner.tar.gz", "more.npz"])
def test_nested_archives_are_refused(take, name):
    refused(take, zipped({"cat/1.png": PICTURE, name: zipped({"cat/2.png": PICTURE})}), "archive_nested")


def test_a_zip_called_png_is_refused(take):
    refused(take, zipped({"cat/1.png": zipped({"cat/2.png": PICTURE})}), "image_format")


def test_encrypted_and_exotic_entries_are_refused(take):
    content = bytearray(zipped({"cat/1.png": PICTURE}))
    start = content.rfind(b"PK\x01\x02")
    content[start + 8] |= 1
    refused(take, bytes(content), "archive_encrypted")
    refused(take, zipped({"cat/1.png": PICTURE}, zipfile.ZIP_LZMA), "archive_unsupported")


def test_changed_bytes_are_noticed_by_the_checksum(take):
    content = bytearray(zipped({"cat/1.png": PICTURE}))
    content[60] ^= 1
    refused(take, bytes(content), "archive_malformed")


def test_a_local_header_that_differs_from_the_directory_is_refused(take):
    content = zipped({"cat/1.png": PICTURE, "dog/1.png": PICTURE}).replace(b"cat/1.png", b"cow/1.png", 1)
    refused(take, content, "archive_malformed")


def test_junk_before_the_archive_is_refused(take):
    refused(take, b"PK\x03\x04junk" + zipped({"cat/1.png": PICTURE}), "archive_malformed")


def test_an_archive_cut_anywhere_is_refused(take):
    content = saved(x=np.zeros((3, 2)))
    for keep in range(4, len(content), 97):
        with pytest.raises(DataError):
            take(content[:keep], "x.npz")
