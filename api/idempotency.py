"""Idempotency-Key: a POST that comes twice is done once and answered twice alike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.responses import Response

from api.deps import TheCaller, TheService
from api.errors import Problem, invalid
from api.schemas.base import Answer
from store.repositories import IdempotencyRepository
from store.repositories.idempotency_keys import Replay, Reserved, reserve_or_wait

MEDIA_TYPE = "application/json"

Write = Callable[[Session], Answer]


class Once:
    """One POST. Without a key it is simply done."""

    def __init__(self, service: TheService, caller: TheCaller, request: Request, key: str | None) -> None:
        self._settings, self._database = service.settings, service.database
        self._project_id = caller.project_id
        self._request = request
        self._key = key

    def answer(self, status: int, asked: Mapping[str, Any], prepare: Callable[[], Write]) -> Response:
        """Do the work and answer, or answer as before.

        `asked` is what makes two requests the same. `prepare` checks and computes with no transaction open, and returns
        the function that writes; the answer is stored in that function's transaction.
        """
        if self._key is None:
            write = prepare()
            with self._database.write() as session:
                return _respond(status, write(session))
        found = self._reserve(self._key, _fingerprint(self._request, asked))
        if isinstance(found, Replay):
            headers = {**found.headers, "idempotency-replayed": "true"}
            return Response(found.body, found.status, headers, MEDIA_TYPE)
        try:
            write = prepare()
            with self._database.write() as session:
                response = _respond(status, write(session))
                IdempotencyRepository(session).complete(
                    self._project_id,
                    self._key,
                    found.owner,
                    status=status,
                    headers=_location(response),
                    body=bytes(response.body).decode(),
                )
            return response
        except BaseException:
            # If the database is away, the reservation ends by its own time.
            with suppress(SQLAlchemyError), self._database.write() as session:
                IdempotencyRepository(session).release(self._project_id, self._key, found.owner)
            raise

    def _reserve(self, key: str, fingerprint: str) -> Reserved | Replay:
        keep_seconds = self._settings.idempotency_seconds
        found = reserve_or_wait(self._database, self._project_id, key, fingerprint, keep_seconds=keep_seconds)
        if isinstance(found, (Reserved, Replay)):
            return found
        detail = "a request with this Idempotency-Key has been at work for long; ask again later"
        raise Problem(409, "idempotency_key_in_use", detail, headers={"retry-after": "5"})


def _fingerprint(request: Request, asked: Mapping[str, Any]) -> str:
    text = json.dumps([request.method, request.url.path, asked], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _respond(status: int, answer: Answer) -> Response:
    links = getattr(answer, "links", {})
    headers = {"location": links["self"]} if "self" in links else {}
    return Response(answer.model_dump_json(), status, headers, MEDIA_TYPE)


def _location(response: Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name == "location"}


def get_once(
    request: Request,
    service: TheService,
    caller: TheCaller,
    idempotency_key: Annotated[
        str | None, Header(description="the same key and body again give the same answer, and do nothing twice")
    ] = None,
) -> Once:
    """The request's idempotency. Raises Problem for a key that cannot be one."""
    if idempotency_key is not None and not (1 <= len(idempotency_key) <= 255 and idempotency_key.isprintable()):
        detail = f"expected a key of 1 to 255 printable characters, received {len(idempotency_key)}"
        raise invalid(detail, parameter="idempotency-key")
    return Once(service, caller, request, idempotency_key)


TheOnce = Annotated[Once, Depends(get_once)]
