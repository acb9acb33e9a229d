"""The door for keys: who calls is known before anything reads the request's body."""

from __future__ import annotations

import hashlib
import ipaddress
import threading
import time
from dataclasses import dataclass

import anyio
from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import Problem
from store.repositories import ApiKeyRepository
from store.repositories.api_keys import is_secret
from store.session import Database

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
LOOPBACK_PATHS = frozenset({"/openapi.json", "/metrics"})
REMEMBERED_SECONDS = 0.5
REMEMBERED_KEYS = 10_000
LOOKUP_THREADS = 4
FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


@dataclass(frozen=True)
class Caller:
    """The project, and the key that opened it."""

    project_id: str
    key_id: str


class Keys:
    """Who a secret belongs to. The database is believed for half a second: a revoked key soon opens nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[bytes, tuple[float, Caller]] = {}
        self._lock = threading.Lock()

    def remembered(self, secret: str) -> Caller | None:
        """The caller, if this process has just looked the secret up."""
        until, caller = self._known.get(_digest(secret), (0.0, None))
        return caller if time.monotonic() < until else None

    def look_up(self, secret: str) -> Caller | None:
        """The caller by the database, or None if the key opens nothing."""
        asked = time.monotonic()
        with self._database.read() as session:
            key = ApiKeyRepository(session).authenticate(secret)
        if key is None:
            return None
        caller = Caller(key.project_id, key.id)
        with self._lock:
            if len(self._known) >= REMEMBERED_KEYS:
                self._known.clear()
            self._known[_digest(secret)] = (asked + REMEMBERED_SECONDS, caller)
        return caller


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


class Authenticate:
    """Puts the `Caller` into `scope["state"]`, or answers 401."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self.app = app
        self.keys = keys
        self._threads: anyio.CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Raises Problem."""
        if scope["type"] == "http" and not _is_open(scope):
            scope.setdefault("state", {})["caller"] = await self._authenticate(Headers(scope=scope))
        await self.app(scope, receive, send)

    async def _authenticate(self, headers: Headers) -> Caller:
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        secret = secret.strip()
        if not secret:
            raise _unauthorized("expected Authorization: Bearer sk_…, received no key")
        if scheme.lower() != "bearer":
            raise _unauthorized("expected Authorization: Bearer sk_…, received another scheme")
        if len(secret) > 200 or not is_secret(secret):
            raise _unauthorized("this is not a key: it is mistyped or cut short")
        caller = self.keys.remembered(secret)
        if caller is None:
            if self._threads is None:
                self._threads = anyio.CapacityLimiter(LOOKUP_THREADS)
            caller = await run_sync(self.keys.look_up, secret, limiter=self._threads)
        if caller is None:
            raise _unauthorized("this key is unknown or revoked")
        return caller


def _unauthorized(detail: str) -> Problem:
    return Problem(401, "unauthorized", detail, headers={"www-authenticate": 'Bearer realm="stoker"'})


def _is_open(scope: Scope) -> bool:
    """Whether the path needs no key: health always, the description of the API on this machine only."""
    path = scope["path"]
    return path in OPEN_PATHS or (path in LOOPBACK_PATHS and _is_local(scope))


def _is_local(scope: Scope) -> bool:
    """Whether the client is on this machine, talks to a loopback address, and no proxy speaks for it."""
    headers = Headers(scope=scope)
    ends = (scope.get("client"), scope.get("server"))
    return not any(name in headers for name in FORWARDING_HEADERS) and all(end and _is_loopback(end[0]) for end in ends)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
