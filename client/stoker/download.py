"""A file from the server onto the disk: taken up again where it broke off, and checked against its SHA-256.

The pieces go to `.NAME.SHA256-PREFIX.part` beside the output and are renamed when whole, so the output never holds half
a file, and a download that was interrupted yesterday goes on today if the server still has the same bytes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from stoker.errors import ApiError, ConnectionFailedError, IntegrityError
from stoker.transport import TRANSIENT, Transport

PIECE_BYTES = 1 << 20
TRIES = 6  # without a single new byte


def download(
    transport: Transport,
    path: str,
    output: Path,
    *,
    progress: Callable[[int, int | None], None] | None = None,
    **parameters: str | None,
) -> Path:
    """Writes the answer's body to `output`; `progress` receives bytes done and, if known, in total.

    Raises IntegrityError, ApiError, ConnectionFailedError, OSError.
    """
    output = Path(output)
    if not output.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(output.parent))
    if output.is_dir():
        raise IsADirectoryError(errno.EISDIR, "expected a file's name, received a folder", str(output))
    part: Path | None = None
    etag, tries = None, 0
    while True:
        done = part.stat().st_size if part and part.exists() else 0
        headers = {"Accept-Encoding": "identity"}  # ranges count the bytes that the SHA-256 is of
        if done and etag:
            headers |= {"Range": f"bytes={done}-", "If-Range": etag}
        try:
            with transport.stream(path, parameters, headers=headers) as response:
                etag = response.headers.get("ETag")
                part = _part(output, etag)
                kept = part.stat().st_size if part.exists() else 0
                if response.status_code == 200 and kept and _digest(etag) and "Range" not in headers:
                    if kept < int(response.headers.get("Content-Length", 0)):
                        continue  # an earlier call left a beginning of these very bytes: ask for the rest
                    part.unlink()
                total = _total(response)
                _append(response, part, total, progress)
        except ConnectionFailedError:
            grown = part is not None and part.exists() and part.stat().st_size > done
            tries = 0 if grown else tries + 1
            if tries >= TRIES:
                raise
            time.sleep(min(0.25 * 2**tries, 5.0))
            continue
        except ApiError as error:
            if error.status == 416 and part is not None:
                part.unlink(missing_ok=True)
            elif error.status not in TRANSIENT:
                raise
            tries += 1
            if tries >= TRIES:
                raise
            time.sleep(min(0.25 * 2**tries, 5.0))
            continue
        _verify(part, etag, total)
        os.replace(part, output)
        return output


def _append(
    response: httpx.Response, part: Path, total: int | None, progress: Callable[[int, int | None], None] | None
) -> None:
    """206 goes on at the end of the part, 200 begins it anew."""
    with part.open("ab" if response.status_code == 206 else "wb") as file:
        done = file.tell()
        for piece in response.iter_raw(PIECE_BYTES):
            file.write(piece)
            done += len(piece)
            if progress:
                progress(done, total)


def _part(output: Path, etag: str | None) -> Path:
    return output.with_name(f".{output.name}.{(_digest(etag) or 'download')[:16]}.part")


def _digest(etag: str | None) -> str | None:
    """The SHA-256 that a strong ETag is, if it is one."""
    match = re.fullmatch(r'"(?:sha256[:-])?([0-9a-f]{64})"', etag or "")
    return match[1] if match else None


def _total(response: httpx.Response) -> int | None:
    span = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if span:
        return int(span[1])
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _verify(part: Path, etag: str | None, total: int | None) -> None:
    """Length and SHA-256; a file that fails is removed, since going on from it would fail again."""
    size = part.stat().st_size
    if total is not None and size != total:
        part.unlink()
        raise IntegrityError(f"expected {total} bytes, received {size}")
    expected = _digest(etag)
    if expected:
        with part.open("rb") as file:
            received = hashlib.file_digest(file, "sha256").hexdigest()
        if received != expected:
            part.unlink()
            raise IntegrityError(f"expected bytes with SHA-256 {expected}, received {received}")
