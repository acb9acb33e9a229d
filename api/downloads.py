"""Files going out: ETag, Range, Content-Disposition, and bytes read from the store as the client takes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from api.errors import Fault, Problem

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_TAG = re.compile(r'(?:W/)?"([^"]*)"|\*')

Reader = Callable[[int, int], Iterator[bytes]]


def download(request: Request, read: Reader, *, size: int, sha256: str, filename: str, media_type: str) -> Response:
    """The whole file, the one range asked for, or 304 if the client has it. `read(start, stop)` yields the bytes."""
    headers = {
        "etag": f'"{sha256}"',
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "content-disposition": f'attachment; filename="{filename}"',
    }
    if _names(request.headers.get("if-none-match", ""), sha256):
        return Response(status_code=304, headers=headers)
    selected = _range(request, size, sha256)
    start, stop = selected or (0, size)
    if selected is not None:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
    headers["content-length"] = str(stop - start)
    status = 200 if selected is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    return StreamingResponse(read(start, stop), status, headers, media_type)


def _names(condition: str, sha256: str) -> bool:
    """Whether a list of entity tags names this one, by weak comparison (RFC 9110, 8.8.3.2)."""
    return any(match.group() == "*" or match.group(1) == sha256 for match in _TAG.finditer(condition[:4096]))


def _range(request: Request, size: int, sha256: str) -> tuple[int, int] | None:
    """First and last-plus-one byte of the range asked for, None for all of them. Raises Problem 416.

    More than one range in a request is refused (RFC 9110, 14.2 allows that): overlapping ones multiply a download.
    """
    asked = request.headers.get("range")
    if asked is None or not asked.startswith("bytes="):
        return None
    if_range = request.headers.get("if-range")
    if if_range is not None and if_range != f'"{sha256}"':
        return None
    match = _RANGE.fullmatch(asked)
    if match is None or match.groups() == ("", ""):
        raise _unsatisfiable(size, "expected one range of bytes such as bytes=0-1023, received something else")
    first, last = match.groups()
    if first == "":
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1 if last else size)
    if start >= stop:
        raise _unsatisfiable(size, f"expected a range within {size} bytes, received one outside")
    return start, stop


def _unsatisfiable(size: int, detail: str) -> Problem:
    headers = {"content-range": f"bytes */{size}"}
    return Problem(416, "range_not_satisfiable", detail, errors=[Fault(detail, parameter="range")], headers=headers)
