"""The folder of compiled kernels: shared by processes, bounded in size, and done without where it cannot be used.

Files are written under another name and renamed, and begin with the digest of what follows: a reader sees a whole
file or none. The least recently used ones are removed once the folder has grown beyond its limit; a process that was
about to read one compiles it again.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from pathlib import Path

from engine.environment import kernel_cache, kernel_cache_bytes

DIGEST = 32
"""Bytes of a file's digest."""
LOOK_EVERY = 64
"""Files that a process writes between two looks at the folder's size."""
SHARE_KEPT = 0.8
"""Of the limit, once it has been passed."""
FRESH_SECONDS = 24 * 3600.0
"""A file that was used so recently is not marked as used again."""
ABANDONED_SECONDS = 3600.0
"""After this time an unfinished file is that of a process that was killed."""

_written = 0
_unseen_bytes = 0
"""Written since the last look: of large files, fewer than LOOK_EVERY would pass a small limit several times over."""


def read(name: str) -> bytes | None:
    """The content of a file, marked as used; None where there is none, or a damaged one."""
    directory = kernel_cache()
    if directory is None:
        return None
    path = directory / name
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    content = stored[DIGEST:]
    if hashlib.sha256(content).digest() != stored[:DIGEST]:
        return None
    try:
        if time.time() - path.stat().st_mtime > FRESH_SECONDS:
            os.utime(path)
    except OSError:  # a folder that can only be read, or another process removed the file
        pass
    return content


def write(name: str, content: bytes) -> None:
    """Keep it, if the folder can be written."""
    global _written, _unseen_bytes
    directory = kernel_cache()
    if directory is None:
        return
    part = directory / f".{name}.{secrets.token_hex(6)}.part"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(hashlib.sha256(content).digest() + content)
            part.replace(directory / name)
        finally:  # a full disk leaves no part behind
            part.unlink(missing_ok=True)
        limit = kernel_cache_bytes()
        _unseen_bytes += len(content) + DIGEST
        if _written % LOOK_EVERY == 0 or _unseen_bytes > limit * (1 - SHARE_KEPT):
            trim(directory, limit)
            _unseen_bytes = 0
        _written += 1
    except OSError:
        return


def trim(directory: Path, limit: int) -> None:
    """Remove what killed processes left, and beyond `limit` bytes the files that were not used for the longest."""
    files = []
    for entry in os.scandir(directory):
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError:  # another process was quicker
            continue
        if entry.name.endswith(".part"):
            if time.time() - found.st_mtime > ABANDONED_SECONDS:
                Path(entry.path).unlink(missing_ok=True)
        elif entry.is_file(follow_symlinks=False):
            files.append((found.st_mtime, found.st_size, entry.path))
    total = sum(size for _, size, _ in files)
    if total <= limit:
        return
    for _, size, path in sorted(files):
        if total <= limit * SHARE_KEPT:
            return
        Path(path).unlink(missing_ok=True)
        total -= size
