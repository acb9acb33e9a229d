"""What the client raises.

StokerError
├── ConfigurationError      no server's address or no key to be found
├── ConnectionFailedError   the server does not answer, after every retry
├── OutputError             a file's name says no format of weights, and none was chosen
├── IntegrityError          a download's bytes are not those that the server has
├── DatasetFailedError      an uploaded file could not be read: `.dataset`
├── JobFailedError          a job ended otherwise than asked: `.job`
└── ApiError                the server answered with a problem (RFC 9457)
    ├── AuthenticationError     401, 403
    ├── NotFoundError           404
    ├── ConflictError           409: not in this status
    ├── InvalidRequestError     400, 413, 415, 422: `.faults` say where
    ├── RateLimitedError        429
    └── ServerError             5xx
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stoker.types import Dataset, Job


class StokerError(Exception):
    """The root of everything the client raises on purpose."""


class ConfigurationError(StokerError):
    """Neither the environment nor a local server's data directory says where to go or with which key."""


class ConnectionFailedError(StokerError):
    """No answer from the server."""


class IntegrityError(StokerError):
    """Downloaded bytes do not have the SHA-256 that the server gave for them."""


class OutputError(StokerError, ValueError):
    """The output's name ends like no format of weights there is."""


class DatasetFailedError(StokerError):
    """Ingest ended with status `failed`."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        super().__init__(f"dataset {dataset.id} failed: {describe(dataset.error)}")


class JobFailedError(StokerError):
    """A job that was waited for did not succeed."""

    def __init__(self, job: Job) -> None:
        self.job = job
        cause = f": {job.error}" if job.error else ""
        super().__init__(f"job {job.id} is {job.status}{cause}")


@dataclass(frozen=True)
class Fault:
    """One place in what was sent, and what is wrong there.

    `pointer` is a JSON Pointer into the body, or `parameter` names a query parameter, form part or header.
    """

    pointer: str
    detail: str
    parameter: str = ""


class ApiError(StokerError):
    """A problem document (RFC 9457) from the server."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.code = str(problem.get("code") or "")
        self.title = str(problem.get("title") or f"HTTP {status}")
        self.detail = str(problem.get("detail") or "")
        self.request_id = problem.get("request_id")
        faults = problem.get("errors")
        self.faults = tuple(
            Fault(*(str(fault.get(name) or "") for name in ("pointer", "detail", "parameter")))
            for fault in (faults if isinstance(faults, list) else [])
            if isinstance(fault, dict)
        )
        super().__init__(self._text())

    def _text(self) -> str:
        """The sentence, then each fault on a line of its own."""
        head = self.detail if self.detail and self.detail != self.title else self.title
        marks = [f"HTTP {self.status}"] + [self.code] * bool(self.code)
        marks += [f"request {self.request_id}"] if self.request_id else []
        lines = [f"{head} ({', '.join(marks)})"]
        lines += [f"  {fault.parameter or fault.pointer or '/'}: {fault.detail}" for fault in self.faults]
        return "\n".join(lines)


class AuthenticationError(ApiError):
    """The key is missing, unknown or revoked, or may not do this."""


class NotFoundError(ApiError):
    """There is no such object in this project."""


class ConflictError(ApiError):
    """The object's status does not allow this now."""


class InvalidRequestError(ApiError):
    """What was sent is at fault; `.faults` say where."""


class RateLimitedError(ApiError):
    """A quota is used up for now."""


class ServerError(ApiError):
    """The server is at fault."""


def api_error(status: int, problem: dict[str, Any]) -> ApiError:
    """The exception for an answer's status."""
    if status in (401, 403):
        kind: type[ApiError] = AuthenticationError
    elif status == 404:
        kind = NotFoundError
    elif status == 409:
        kind = ConflictError
    elif status == 429:
        kind = RateLimitedError
    elif status >= 500:
        kind = ServerError
    else:
        kind = InvalidRequestError
    return kind(status, problem)


def describe(error: object) -> str:
    """A dataset's or a job's `error` document as one sentence."""
    if not isinstance(error, dict):
        return str(error or "no cause given")
    where = error.get("where") or error.get("pointer")
    return f"{error.get('message') or error.get('detail') or error.get('code')}" + (f" (at {where})" if where else "")
