"""A job's live events: read from the stream, and taken up again after the last one seen when the connection breaks."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator

from stoker.errors import ApiError, ConnectionFailedError
from stoker.server_sent_events import messages
from stoker.transport import TRANSIENT, Transport
from stoker.types import Event

# The server sends a comment at least every 15 s: a stream silent for longer is dead.
SILENCE_SECONDS = 45.0
LONGEST_WAIT_SECONDS = 10.0


def events(
    transport: Transport,
    path: str,
    *,
    after: str | None = None,
    give_up_seconds: float = 120.0,
) -> Iterator[Event]:
    """Every event after `after`, once each and in order, up to and with `done`.

    Raises ConnectionFailedError when the server cannot be reached for `give_up_seconds` on end, ApiError for an answer
    that another try would not change.
    """
    last_id, wait, down_since = after or "", 0.5, None
    while True:
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity", "Cache-Control": "no-store"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        try:
            with transport.stream(path, headers=headers, read_seconds=SILENCE_SECONDS) as response:
                down_since = None
                for message in messages(response.iter_raw(), last_id):
                    wait = message.retry_seconds or 0.5
                    repeated = bool(message.id) and message.id == last_id and message.event != "done"
                    last_id = message.id
                    if not repeated:
                        yield _event(message.event, message.data, message.id)
                    if message.event == "done":
                        return
        except ApiError as error:
            if error.status not in TRANSIENT:
                raise
            broken: Exception | None = error
        except ConnectionFailedError as error:
            broken = error
        else:
            broken = None  # a server that drains ends its streams politely
        down_since = down_since or time.monotonic()
        if time.monotonic() - down_since > give_up_seconds:
            cause = broken or "closed"
            raise ConnectionFailedError(f"the event stream stayed away for {give_up_seconds:.0f} s: {cause}")
        time.sleep(wait * (0.5 + random.random()))
        wait = min(wait * 2, LONGEST_WAIT_SECONDS)


def _event(kind: str, data: str, identity: str) -> Event:
    document = json.loads(data) if data else {}
    if not isinstance(document, dict) or "type" not in document:
        values = document if isinstance(document, dict) else {"value": document}
        document = {"id": identity, "type": kind, "data": values}
    return Event.from_json({**document, "type": kind if kind != "message" else document["type"]})
