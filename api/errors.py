"""Every refusal as `application/problem+json` (RFC 9457): status, stable code, what was expected, and where.

`Problem` is what routes and middleware raise. Exceptions of the store, the engine and the framework are turned into one
here and nowhere else. A body never repeats what was sent: at most sixty printable characters of a value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import Response

from engine.errors import DefinitionError, nearest, pointer_to, show
from store.errors import BlobGone, Conflict, IdempotencyMismatch, NotFound, QuotaExceeded

MEDIA_TYPE = "application/problem+json"
MAXIMUM_ERRORS = 50
OBJECT_EXPECTED = ("model_attributes_type", "model_type", "dict_type")
"""Findings that pydantic words in Python's terms."""


@dataclass(frozen=True)
class Fault:
    """One place of a request: a JSON Pointer into its body, or the name of a query parameter, form part or header."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None

    def to_json(self) -> dict[str, str]:
        """`{"pointer" or "parameter": where, "detail": what}`."""
        where = {"pointer": self.pointer} if self.pointer is not None else {"parameter": self.parameter or ""}
        return {**{name: text for name, text in where.items() if text is not None}, "detail": self.detail}


class Problem(HTTPException):
    """A request that cannot be served as it is. `code` is stable and for programs, `detail` is for people."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers) if headers else None)
        self.code = code
        self.errors = tuple(errors[:MAXIMUM_ERRORS])

    def response(self, request_id: str) -> Response:
        """The problem document as a response."""
        document: dict[str, Any] = {
            "type": f"urn:stoker:problem:{self.code}",
            "title": self.code.replace("_", " ").capitalize(),
            "status": self.status_code,
            "detail": self.detail,
            "code": self.code,
        }
        if self.errors:
            document["errors"] = [fault.to_json() for fault in self.errors]
        document["request_id"] = request_id
        return Response(json.dumps(document), self.status_code, self.headers, MEDIA_TYPE)


def not_found(kind: str, *, pointer: str | None = None, parameter: str | None = None) -> Problem:
    """The one answer for what does not exist and for what belongs to another project; where, if a body names it."""
    detail = f"there is no such {kind}"
    errors = [Fault(detail, pointer, parameter)] if pointer is not None or parameter is not None else []
    return Problem(404, "not_found", detail, errors=errors)


def conflict(code: str, detail: str) -> Problem:
    """The request is right, the state of things is not."""
    return Problem(409, code, detail)


def invalid(
    detail: str, *, pointer: str | None = None, parameter: str | None = None, code: str = "invalid_request"
) -> Problem:
    """One fault at one place."""
    return Problem(422, code, detail, errors=[Fault(detail, pointer, parameter)])


def from_definition(error: DefinitionError) -> Problem:
    """Every fault that the engine found in a definition, with its pointer."""
    faults = [Fault(fault.detail, pointer=fault.pointer) for fault in error.faults]
    detail = f"{len(faults)} faults in the definition" if len(faults) != 1 else faults[0].detail
    return Problem(422, "invalid_definition", detail, errors=faults)


def from_validation(errors: Iterable[Mapping[str, Any]], known: Sequence[str]) -> Problem:
    """Pydantic's findings; `known` are the body's fields, for hints."""
    faults = []
    for error in errors:
        location = tuple(error["loc"])
        place, path = location[0] if location else "body", location[1:]
        detail = _describe(error, known if len(path) == 1 else ())
        if place == "body":
            pointer = ""
            for part in path:
                pointer = pointer_to(pointer, part)
            faults.append(Fault(detail, pointer=pointer))
        else:
            faults.append(Fault(detail, parameter=str(path[0])[:200] if path else str(place)))
    detail = f"{len(faults)} faults in the request" if len(faults) != 1 else faults[0].detail
    return Problem(422, "invalid_request", detail, errors=faults)


def _describe(error: Mapping[str, Any], known: Sequence[str]) -> str:
    """`expected …, received …` for one finding of pydantic."""
    if error["type"] == "missing":
        return "expected a value, received nothing: the field is required"
    if error["type"] == "extra_forbidden":
        name = str(error["loc"][-1])
        fields = f"one of {', '.join(sorted(known))}" if known else "no such field"
        return f"expected {fields}, received the unknown field {show(name)}{nearest(name, known)}"
    expected = "an object" if error["type"] in OBJECT_EXPECTED else str(error["msg"])
    for prefix in ("Value error, ", "Input should be ", "expected "):
        expected = expected.removeprefix(prefix)
    return f"expected {expected}, received {received(error.get('input'))}"


def received(value: object) -> str:
    """A value for an error message; containers by their kind and length only."""
    if isinstance(value, Mapping):
        return f"an object of {len(value)} fields"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)} entries"
    if isinstance(value, str) and len(value) > 60:
        return f"a string of {len(value)} characters"
    return "nothing" if value is None else show(value)


def request_id_of(request: Request) -> str:
    """The id that the outermost middleware gave to this request."""
    return str(request.scope.get("state", {}).get("request_id", ""))


def install(app: FastAPI) -> None:
    """Take the place of the framework's own answers, which are not problem documents."""

    def answer_problem(request: Request, error: Exception) -> Response:
        return to_problem(error).response(request_id_of(request))

    app.add_exception_handler(StarletteHTTPException, answer_problem)
    app.add_exception_handler(RequestValidationError, answer_problem)


def to_problem(error: Exception) -> Problem:
    """The problem that an exception means to the user; anything unforeseen is a 500 without particulars."""
    match error:
        case Problem():
            return error
        case StarletteHTTPException():
            return _from_framework(error)
        case RequestValidationError():
            return from_validation(error.errors(), ())
        case DefinitionError():
            return from_definition(error)
        case NotFound():
            return not_found(error.what)
        case Conflict():
            return Problem(409, error.code, str(error))
        case QuotaExceeded():
            return Problem(429, "quota_exceeded", str(error))
        case IdempotencyMismatch():
            fault = Fault(str(error), parameter="idempotency-key")
            return Problem(422, "idempotency_key_reused", str(error), errors=[fault])
        case BlobGone():
            return Problem(409, "upload_expired", "the file was removed, or its upload took too long")
        case OperationalError() | PoolTimeout():
            detail = "the database does not answer now; the same request may succeed later"
            return Problem(503, "database_unavailable", detail, headers={"retry-after": "1"})
        case _:
            return Problem(500, "internal_error", "the server failed to handle this request; its log holds the cause")


def _from_framework(error: StarletteHTTPException) -> Problem:
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    details = {404: "there is nothing at this address", 405: "this address does not know the verb"}
    return Problem(error.status_code, code, details.get(error.status_code, phrase), headers=error.headers)
