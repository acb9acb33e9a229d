"""Uploads: a multipart form read as it arrives, its one file streamed into the store, never whole in memory.

The event loop only gathers bytes; parsing, hashing and writing happen in a thread, a mebibyte at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from fastapi import Request
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool

from api.errors import Fault, Problem, invalid
from engine.data import START_BYTES
from engine.errors import nearest, show

BATCH_BYTES = 1024 * 1024
MAXIMUM_FIELD_BYTES = 64 * 1024
MAXIMUM_FILENAME_CHARACTERS = 200


class Sink(Protocol):
    """Where the file's bytes go."""

    def write(self, data: bytes) -> None:
        """Take the next bytes."""


@dataclass
class Form:
    """What a form held: its text fields, and its file's name once a file has begun."""

    fields: dict[str, str] = field(default_factory=dict)
    filename: str | None = None
    has_file: bool = False
    file_bytes: int = 0
    file_start: bytes = b""
    """Enough of it to see in which format it may be."""


async def read_form(
    request: Request, sink: Sink, *, file: str, fields: tuple[str, ...], field_bytes: int = MAXIMUM_FIELD_BYTES
) -> Form:
    """Stream the part named `file` into `sink` and gather the text parts named in `fields`, each of `field_bytes`.

    Raises Problem.
    """
    reader = _FormReader(_boundary(request), sink, file, fields, field_bytes)
    batch = bytearray()
    async for data in request.stream():
        batch += data
        if len(batch) >= BATCH_BYTES:
            await run_in_threadpool(reader.feed, bytes(batch))
            batch.clear()
    await run_in_threadpool(reader.feed, bytes(batch))
    return reader.finish()


def _boundary(request: Request) -> bytes:
    """The boundary that the Content-Type header names."""
    media_type, options = parse_options_header(request.headers.get("content-type"))
    if media_type != b"multipart/form-data":
        detail = f"expected Content-Type: multipart/form-data, received {show(media_type.decode('latin-1') or 'none')}"
        raise Problem(415, "unsupported_media_type", detail, errors=[Fault(detail, parameter="content-type")])
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise invalid(f"expected a boundary of 1 to 70 characters, received {len(boundary)}", parameter="content-type")
    return boundary


class _FormReader:
    """The parser's callbacks as a small state machine. `feed` is called by one thread at a time."""

    def __init__(self, boundary: bytes, sink: Sink, file: str, fields: tuple[str, ...], field_bytes: int) -> None:
        self._sink, self._file, self._names, self._field_bytes = sink, file, fields, field_bytes
        self._form = Form()
        self._headers: dict[bytes, bytes] = {}
        self._header_name, self._header_value = bytearray(), bytearray()
        self._part = ""
        self._text = bytearray()
        self._complete = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_part_data": self._take,
                "on_part_end": self._end_part,
                "on_header_field": self._take_header_name,
                "on_header_value": self._take_header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._open_part,
                "on_end": self._end,
            },
        )

    def feed(self, data: bytes) -> None:
        """Parse the next bytes of the body. Raises Problem."""
        try:
            self._parser.write(data)
        except FormParserError:
            detail = "expected a form as RFC 7578 describes, received something else"
            raise Problem(400, "invalid_form", detail) from None

    def finish(self) -> Form:
        """The form, after the last bytes. Raises Problem if it was cut short or has no file."""
        if not self._complete:
            raise Problem(400, "invalid_form", "expected the form's closing boundary, received the end of the body")
        if not self._form.has_file:
            raise invalid("expected a file, received nothing: the part is required", parameter=self._file)
        return self._form

    def _begin_part(self) -> None:
        self._headers, self._part = {}, ""
        self._text.clear()

    def _take_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _take_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        self._headers[bytes(self._header_name).lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _open_part(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition"))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        known = (self._file, *self._names)
        if kind != b"form-data" or name not in known:
            detail = f"expected one of {', '.join(known)}, received the part {show(name)}{nearest(name, known)}"
            raise invalid(detail, parameter=name[:200])
        if self._headers.get(b"content-transfer-encoding", b"binary").lower() not in (b"binary", b"8bit", b"7bit"):
            raise invalid("expected a part as it is, received one with a Content-Transfer-Encoding", parameter=name)
        if name in self._form.fields or (name == self._file and self._form.has_file):
            raise invalid("expected one part of this name, received two", parameter=name)
        self._part = name
        if name == self._file:
            self._form.has_file = True
            self._form.filename = _printable(options.get(b"filename", b""))

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._part == self._file:
            self._sink.write(data[start:end])
            self._form.file_bytes += end - start
            if (room := START_BYTES - len(self._form.file_start)) > 0:
                self._form.file_start += data[start : min(end, start + room)]
            return
        self._text += data[start:end]
        if len(self._text) > self._field_bytes:
            detail = f"expected at most {self._field_bytes} bytes, received more"
            raise Problem(413, "body_too_large", detail, errors=[Fault(detail, parameter=self._part)])

    def _end_part(self) -> None:
        if self._part == self._file:
            return
        try:
            self._form.fields[self._part] = self._text.decode("utf-8")
        except UnicodeDecodeError:
            raise invalid("expected text in UTF-8, received other bytes", parameter=self._part) from None

    def _end(self) -> None:
        self._complete = True


def _printable(filename: bytes) -> str | None:
    """The file's own name, for people and for guessing its format: no folders, nothing unprintable."""
    name = filename.decode("utf-8", "replace").replace("\\", "/").rpartition("/")[2]
    name = "".join(character for character in name if character.isprintable())[-MAXIMUM_FILENAME_CHARACTERS:]
    return name or None
