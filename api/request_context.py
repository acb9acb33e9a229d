"""The outermost door: every request gets an id, every exception an answer, every unread body an end.

Plain ASGI, so that it sees a request before anything has read from it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import to_problem
from engine.errors import show

LINGER_SECONDS = 2.0
LINGER_BYTES = 64 * 1024 * 1024

logger = logging.getLogger("stoker.api")


class RequestContext:
    """Gives `scope["state"]["request_id"]`, answers what was raised, and closes connections whose body nobody read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        scope.setdefault("state", {})["request_id"] = exchange.request_id
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            return
        except Exception as error:
            if exchange.started:
                raise
            problem = to_problem(error)
            if problem.status_code >= 500:
                path = show(scope["path"], limit=200)
                logger.error("%s: %s %s failed", exchange.request_id, scope["method"], path, exc_info=error)
            await problem.response(exchange.request_id)(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its response; knows whether the body was read to its end."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        self.request_id = f"req_{secrets.token_hex(16)}"
        self.started = False
        self._receive, self._send = receive, send
        has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        self._unread = has_body
        self._lingers = False

    async def receive(self) -> Message:
        """The next message, noting the body's end."""
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        """The next message of the response, with the headers that every response carries."""
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.request_id
            headers["x-content-type-options"] = "nosniff"
            headers.setdefault("cache-control", "no-store")
            if self._unread:
                self._lingers = True
                headers["connection"] = "close"
        elif self._lingers and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _drain(self) -> None:
        """Read on for a moment: a socket closed over unread bytes is reset, and the client never sees the answer."""
        deadline, count = time.monotonic() + LINGER_SECONDS, 0
        while self._unread and count < LINGER_BYTES:
            try:
                message: dict[str, Any] = dict(await asyncio.wait_for(self.receive(), deadline - time.monotonic()))
            except TimeoutError:
                return
            count += len(message.get("body", b""))
