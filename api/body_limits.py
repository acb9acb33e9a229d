"""The door for bodies: encoding, size and slowness are judged by the headers or while reading, before any parsing."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import Fault, Problem
from engine.errors import show

UPLOAD_PATH, MODELS_PATH = "/v1/datasets", "/v1/models"


@dataclass(frozen=True)
class BodyLimits:
    """How much, and how slowly, a client may send."""

    json_bytes: int
    upload_bytes: int
    model_bytes: int
    idle_seconds: float
    grace_seconds: float
    minimum_bytes_per_second: int


class LimitBodies:
    """Refuses compressed, oversized and trickling bodies: 415, 413 and 408."""

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        self.app = app
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Raises Problem, here or out of `receive`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            detail = f"expected a body without Content-Encoding, received {show(encoding)}"
            fault = Fault(detail, parameter="content-encoding")
            raise Problem(415, "unsupported_content_encoding", detail, errors=[fault])
        maximum = self._maximum(scope["path"].rstrip("/"), headers)
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > maximum:
            raise too_large(maximum)
        await self.app(scope, _Meter(receive, maximum, self.limits).receive, send)

    def _maximum(self, path: str, headers: Headers) -> int:
        """How many bytes the body may have."""
        if path == UPLOAD_PATH:
            return self.limits.upload_bytes
        if path == MODELS_PATH and headers.get("content-type", "").strip().lower().startswith("multipart/form-data"):
            return self.limits.model_bytes
        return self.limits.json_bytes


def too_large(maximum: int) -> Problem:
    """The body is over its limit."""
    return Problem(413, "body_too_large", f"expected a body of at most {maximum} bytes, received a larger one")


class _Meter:
    """Counts what arrives and how long it was waited for; the server's own time does not count against the client."""

    def __init__(self, receive: Receive, maximum: int, limits: BodyLimits) -> None:
        self._receive, self._maximum, self._limits = receive, maximum, limits
        self._bytes = 0
        self._waited_seconds = 0.0
        self._complete = False

    async def receive(self) -> Message:
        """The next message of a body within its limits. Raises Problem."""
        if self._complete:
            return await self._receive()
        began = time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), self._limits.idle_seconds)
        except TimeoutError:
            raise self._too_slow() from None
        self._waited_seconds += time.monotonic() - began
        self._bytes += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._bytes > self._maximum:
            raise too_large(self._maximum)
        late_seconds = self._waited_seconds - self._limits.grace_seconds
        if not self._complete and self._bytes < late_seconds * self._limits.minimum_bytes_per_second:
            raise self._too_slow()
        return message

    def _too_slow(self) -> Problem:
        return Problem(408, "body_too_slow", f"the body stopped or trickled after {self._bytes} bytes")
