"""Sending a file without holding it: httpx reads it in pieces, and this tells how far it is."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

TYPES = {".npz": "application/octet-stream", ".npy": "application/octet-stream", ".csv": "text/csv"}


class Watched:
    """A file object that reports the bytes read of it; a retry seeks back to the beginning, and so does the report."""

    def __init__(self, file: BinaryIO, size: int, progress: Callable[[int, int | None], None]) -> None:
        self._file = file
        self._size = size
        self._progress = progress

    def read(self, size: int = -1) -> bytes:
        """As io.BufferedReader.read."""
        piece = self._file.read(size)
        self._progress(self._file.tell(), self._size)
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        """As io.BufferedReader.seek."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As io.BufferedReader.tell."""
        return self._file.tell()

    def fileno(self) -> int:
        """The file's descriptor, from which httpx learns its length."""
        return self._file.fileno()


def content_type(file: Path) -> str:
    """The media type that a file's name tells."""
    return TYPES.get(file.suffix.lower()) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
