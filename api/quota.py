"""How often a project may ask."""

from __future__ import annotations

import math
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from api.auth import Caller
from api.errors import Problem


class LimitRequests:
    """A token bucket a project, in this process: a minute's requests may come at once, then they refill evenly."""

    def __init__(self, app: ASGIApp, requests_per_minute: int) -> None:
        self.app = app
        self.requests_per_minute = requests_per_minute
        self._buckets: dict[str, tuple[float, float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Raises Problem 429."""
        caller = scope.get("state", {}).get("caller")
        if isinstance(caller, Caller):
            self._take(caller.project_id)
        await self.app(scope, receive, send)

    def _take(self, project_id: str) -> None:
        now = time.monotonic()
        rate = self.requests_per_minute / 60
        left, seen = self._buckets.get(project_id, (float(self.requests_per_minute), now))
        left = min(float(self.requests_per_minute), left + (now - seen) * rate)
        if left < 1:
            seconds = math.ceil((1 - left) / rate) if rate else 60
            detail = f"this project may make {self.requests_per_minute} requests a minute"
            raise Problem(429, "too_many_requests", detail, headers={"retry-after": str(seconds)})
        self._buckets[project_id] = (left - 1, now)
