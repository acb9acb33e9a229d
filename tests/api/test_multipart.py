from __future__ import annotations

import asyncio
import hashlib

import pytest
from fastapi import Request

from api.errors import Problem
from api.multipart import MAXIMUM_FIELD_BYTES, Form, read_form

BOUNDARY = "xyzzy"


class Kept:
    """A sink that keeps what it was given."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        self.data += data


def part(name: str, content: bytes, *, filename: str | None = None, headers: bytes = b"") -> bytes:
    disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename is not None else "")
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n".encode() + headers
    return head + b"\r\n" + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def read(body: bytes, *, piece_bytes: int = 1 << 16, content_type: str | None = None) -> tuple[Form, bytes]:
    pieces = [body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes)]

    async def receive():
        return {"type": "http.request", "body": pieces.pop(0) if pieces else b"", "more_body": bool(pieces)}

    content_type = f"multipart/form-data; boundary={BOUNDARY}" if content_type is None else content_type
    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", content_type.encode("latin-1"))]}
    kept = Kept()
    form = asyncio.run(read_form(Request(scope, receive), kept, file="file", fields=("name", "format", "options")))
    return form, bytes(kept.data)


@pytest.mark.parametrize("piece_bytes", [1, 7, 1 << 16])
def test_reads_a_form_however_it_is_cut(piece_bytes):
    content = b"\r\n--xyzz\r\n" * 50 + bytes(range(256))
    body = (
        part("name", "Ziffern é".encode())
        + part("file", content, filename="a/b\\digits.zip")
        + part("format", b"csv")
        + END
    )
    form, data = read(body, piece_bytes=piece_bytes)
    assert form.fields == {"name": "Ziffern é", "format": "csv"}
    assert form.filename == "digits.zip"
    assert data == content
    assert form.file_bytes == len(content)


def test_a_large_file_arrives_whole_and_in_batches():
    content = hashlib.shake_256(b"seed").digest(5_000_000)
    form, data = read(part("file", content, filename="x.bin") + END)
    assert hashlib.sha256(data).digest() == hashlib.sha256(content).digest()
    assert form.file_bytes == len(content)


FILE = part("file", b"x", filename="x.csv")

REFUSED = [
    ("no file", part("name", b"a") + END, 422, "file"),
    ("unknown part", FILE + part("nane", b"a") + END, 422, "nane"),
    ("two files", FILE + FILE + END, 422, "file"),
    ("a field twice", FILE + part("name", b"a") + part("name", b"b") + END, 422, "name"),
    ("a field of a megabyte", FILE + part("name", b"a" * (MAXIMUM_FIELD_BYTES + 1)) + END, 413, "name"),
    ("a field that is not UTF-8", FILE + part("name", b"\xff") + END, 422, "name"),
    (
        "base64",
        part("file", b"eA==", filename="x", headers=b"Content-Transfer-Encoding: base64\r\n") + END,
        422,
        "file",
    ),
    ("cut short", FILE, 400, None),
    ("empty body", b"", 400, None),
    ("garbage", b"hello world, no boundary here", 400, None),
    ("another boundary", FILE.replace(b"xyzzy", b"plugh") + END, 400, None),
    ("a header without end", f"--{BOUNDARY}\r\nContent-Disposition: ".encode() + b"a" * 100_000, 400, None),
    (
        "a thousand headers",
        part("file", b"x", headers=b"".join(b"X-%d: 1\r\n" % n for n in range(1000))) + END,
        400,
        None,
    ),
    ("no disposition", f"--{BOUNDARY}\r\n\r\nx\r\n".encode() + END, 422, ""),
]


@pytest.mark.parametrize(
    ("body", "status", "parameter"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_refuses(body, status, parameter):
    with pytest.raises(Problem) as caught:
        read(body)
    assert caught.value.status_code == status
    assert [fault.parameter for fault in caught.value.errors] == ([] if parameter is None else [parameter])


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 415),
        ("", 415),
        ("multipart/form-data", 422),
        ("multipart/form-data; boundary=", 422),
        ("multipart/form-data; boundary=" + "a" * 300, 422),
        ("multipart/mixed; boundary=xyzzy", 415),
    ],
)
def test_refuses_other_media_types(content_type, status):
    with pytest.raises(Problem) as caught:
        read(FILE + END, content_type=content_type)
    assert caught.value.status_code == status
