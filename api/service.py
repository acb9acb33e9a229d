"""What one API process holds for its requests."""

from __future__ import annotations

from dataclasses import dataclass

from api.event_stream import EventStreams
from api.health import Health
from store.session import Database
from store.settings import Settings


@dataclass(frozen=True)
class Service:
    """Made once by `create_app`."""

    settings: Settings
    database: Database
    streams: EventStreams
    health: Health

    def close(self) -> None:
        """Give everything back."""
        self.streams.close()
        self.health.close()
        self.database.close()
