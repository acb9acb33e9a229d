"""What uploads of every kind share: the quota's door, and a file on disk for what is read before it is stored."""

from __future__ import annotations

import hashlib
from pathlib import Path

from api.auth import Caller
from api.errors import Fault, Problem, invalid, received
from api.multipart import Form
from api.service import Service
from store.repositories import ProjectRepository


class FileSink:
    """A file on disk that an upload streams into, and its SHA-256."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self._digest.update(data)
        self._file.write(data)

    def close(self) -> str:
        """No more bytes come: the SHA-256 of all."""
        self._file.close()
        return self._digest.hexdigest()


def check_room(service: Service, caller: Caller, content_length: str) -> None:
    """Raises QuotaExceeded before anything is read, if what is announced cannot be kept."""
    announced = int(content_length[:20]) if content_length.isdecimal() else 0
    with service.database.read() as session:
        ProjectRepository(session).check_bytes(caller.project_id, announced, service.settings.project_bytes)


def check_size(form: Form, maximum: int) -> None:
    """Raises Problem for a file that is empty or larger than it may be."""
    if form.file_bytes > maximum:
        detail = f"expected a file of at most {maximum} bytes, received {form.file_bytes}"
        raise Problem(413, "body_too_large", detail, errors=[Fault(detail, parameter="file")])
    if form.file_bytes == 0:
        raise invalid("expected a file, received an empty one", parameter="file")


def read_name(form: Form, default: str) -> str:
    """The name that was given, or the file's. Raises Problem."""
    name = form.fields.get("name", form.filename or default)
    if not 1 <= len(name) <= 200 or not name.isprintable():
        detail = f"expected a string of 1 to 200 printable characters, received {received(name)}"
        raise invalid(detail, parameter="name")
    return name
