"""What routes ask for. Sessions end when the route's function does: their commit stands before the answer goes out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from api.auth import Caller
from api.errors import Fault, Problem
from api.service import Service
from engine.errors import show

MAXIMUM_FILTERS = 16


def get_service(request: Request) -> Service:
    """The process's service."""
    service: Service = request.app.state.service
    return service


def get_caller(request: Request) -> Caller:
    """Who the key belongs to; the middleware has made sure that there is one."""
    caller: Caller = request.scope["state"]["caller"]
    return caller


def get_read_session(service: Annotated[Service, Depends(get_service)]) -> Iterator[Session]:
    """One state of the database, to look at."""
    with service.database.read() as session:
        yield session


def get_write_session(service: Annotated[Service, Depends(get_service)]) -> Iterator[Session]:
    """The request's one transaction."""
    with service.database.write() as session:
        yield session


def metadata_filter(request: Request) -> dict[str, str]:
    """`metadata[key]=value` parameters of a list. Raises Problem."""
    wanted: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if not name.startswith("metadata["):
            continue
        key = name.removeprefix("metadata[").removesuffix("]")
        if not key or not key.isprintable() or not value.isprintable() or len(key) > 64 or len(value) > 512:
            detail = f"expected metadata[key]=value of printable characters, received {show(name)}"
            raise Problem(422, "invalid_request", detail, errors=[Fault(detail, parameter=name[:200])])
        wanted[key] = value
    if len(wanted) > MAXIMUM_FILTERS:
        detail = f"expected at most {MAXIMUM_FILTERS} metadata filters, received {len(wanted)}"
        raise Problem(422, "invalid_request", detail, errors=[Fault(detail, parameter="metadata")])
    return wanted


METADATA_PARAMETER = {
    "parameters": [
        {
            "name": "metadata",
            "in": "query",
            "style": "deepObject",
            "explode": True,
            "description": "`metadata[key]=value`: only objects with this tag",
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
        }
    ]
}

TheService = Annotated[Service, Depends(get_service)]
TheCaller = Annotated[Caller, Depends(get_caller)]
ReadSession = Annotated[Session, Depends(get_read_session, scope="function")]
WriteSession = Annotated[Session, Depends(get_write_session, scope="function")]
MetadataFilter = Annotated[dict[str, str], Depends(metadata_filter)]
