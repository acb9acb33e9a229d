"""What the store raises.

StoreError
├── NotFound              no such row in this project (a row of another project is the same as none)
├── Conflict              the row is not in a state that allows this; `code` is stable and for programs
│   └── IllegalTransition     a status may not follow the current one
├── LeaseLost             the caller's token is no longer the row's: it must stop at once and write nothing more
├── QuotaExceeded         the project has as many of something as it may have
├── IdempotencyMismatch   the same Idempotency-Key came with another body
├── BlobError
│   ├── BlobGone          the blob, or the unfinished writer's chunks, are no longer there
│   └── CorruptBlob       stored bytes do not give the digest that was recorded for them
└── UnsafeSqlite          the SQLite library has the WAL-reset bug
"""

from __future__ import annotations


class StoreError(Exception):
    """The root of everything the store raises on purpose."""


class NotFound(StoreError):
    """No row `id` that the caller may see."""

    def __init__(self, what: str, id: str) -> None:
        self.what = what
        self.id = id
        super().__init__(f"no {what} with this id")


class Conflict(StoreError):
    """The row's state does not allow what was asked."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class IllegalTransition(Conflict):
    """`wanted` may not follow `current`. `message` says it in the words of what the user asked."""

    def __init__(self, current: str, wanted: str, message: str | None = None) -> None:
        self.current = current
        self.wanted = wanted
        super().__init__("illegal_transition", message or f"a {current} row cannot become {wanted}")


class LeaseLost(StoreError):
    """Another claim, the reaper or an ended row has taken the lease of (id, token)."""

    def __init__(self, id: str, token: int) -> None:
        self.id = id
        self.token = token
        super().__init__(f"the lease of {id} with token {token} is lost")


class QuotaExceeded(StoreError):
    """`what` has reached `limit` in this project."""

    def __init__(self, what: str, limit: int) -> None:
        self.what = what
        self.limit = limit
        super().__init__(f"this project has reached its limit of {limit} {what}")


class IdempotencyMismatch(StoreError):
    """The key was used before with another request."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__("this Idempotency-Key was used with another request")


class BlobError(StoreError):
    """Something is wrong with stored bytes."""

    def __init__(self, blob_id: str, message: str) -> None:
        self.blob_id = blob_id
        super().__init__(f"{blob_id}: {message}")


class BlobGone(BlobError):
    """The blob or its chunks are not there."""


class CorruptBlob(BlobError):
    """Stored bytes differ from their recorded digest or size."""


class UnsafeSqlite(StoreError):
    """This SQLite would lose data in WAL mode."""
