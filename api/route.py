"""The route class of every path: JSON by our own reader, unknown fields and parameters refused, pointers to faults."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from api import json_body
from api.errors import Fault, Problem, from_validation, invalid
from engine.errors import nearest, show

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class JsonRequest(Request):
    """A request whose `json()` is the strict reader's; a megabyte of it is read beside the event loop."""

    async def json(self) -> Any:
        """The parsed body. Raises Problem."""
        if not hasattr(self, "_document"):
            self._document = await run_in_threadpool(json_body.parse, await self.body())
        return self._document


class StrictRoute(APIRoute):
    """Refuses what the path does not know instead of ignoring it."""

    def get_route_handler(self) -> Handler:
        """FastAPI's handler between a check of the query and a translation of pydantic's findings."""
        handle = super().get_route_handler()
        fields = _body_fields(self.endpoint)
        names = sorted(set(_query_names(self.dependant)))
        families = tuple(f"{name}[" for name in _families(self.openapi_extra))
        reads_itself = "requestBody" in (self.openapi_extra or {})

        async def strict(request: Request) -> Response:
            _refuse_unknown_query(request, names, families)
            request = JsonRequest(request.scope, request.receive)
            if fields is not None:
                _require_json(request)
            elif not reads_itself:
                await _refuse_body(request)
            try:
                return await handle(request)
            except RequestValidationError as error:
                raise from_validation(error.errors(), fields or ()) from None

        return strict


def resource(prefix: str, tag: str) -> APIRouter:
    """A router whose paths are strict."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=StrictRoute)


def _body_fields(endpoint: Callable[..., Any]) -> list[str] | None:
    """Names of the fields of the endpoint's JSON body, or None if it takes none."""
    hints = typing.get_type_hints(endpoint)
    for name in inspect.signature(endpoint).parameters:
        hint = hints.get(name)
        if isinstance(hint, type) and issubclass(hint, BaseModel):
            return list(hint.model_fields)
    return None


def _query_names(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        yield field.alias
    for nested in dependant.dependencies:
        yield from _query_names(nested)


def _families(openapi_extra: dict[str, Any] | None) -> list[str]:
    """Names of `name[key]=value` parameters, which OpenAPI calls deep objects."""
    declared = (openapi_extra or {}).get("parameters", [])
    return [parameter["name"] for parameter in declared if parameter.get("style") == "deepObject"]


def _refuse_unknown_query(request: Request, names: list[str], families: tuple[str, ...]) -> None:
    faults = []
    for name, _ in request.query_params.multi_items():
        if name in names or (name.startswith(families) and name.endswith("]")):
            continue
        expected = f"one of {', '.join(names)}" if names else "no query parameters"
        detail = f"expected {expected}, received the unknown parameter {show(name)}{nearest(name, names)}"
        faults.append(Fault(detail, parameter=name[:200]))
    if faults:
        raise Problem(422, "invalid_request", faults[0].detail, errors=faults)


async def _refuse_body(request: JsonRequest) -> None:
    """A path without fields takes nothing, or an empty object."""
    if await request.body() and await request.json() != {}:
        raise invalid("expected no body, or an empty object", pointer="")


def _require_json(request: Request) -> None:
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if not re.fullmatch(r"application/(json|[^/]+\+json)", media_type):
        detail = f"expected Content-Type: application/json, received {show(media_type)}"
        raise Problem(415, "unsupported_media_type", detail, errors=[Fault(detail, parameter="content-type")])
