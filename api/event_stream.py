"""Live events: one poller a process reads for all streams, and a waiting stream holds no thread and no connection."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from api.errors import Problem
from api.schemas.events import to_event
from store.repositories import ApiKeyRepository, EventRepository
from store.session import Database
from store.states import TERMINAL

POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0
EVENTS_A_ROUND = 200
MAXIMUM_STREAMS_PER_PROJECT = 100

logger = logging.getLogger("stoker.api")


@dataclass(eq=False)
class Stream:
    """One client's place in one job's events. `ready` are the frames that it has not taken yet."""

    project_id: str
    key_id: str
    job_id: str
    cursor: int
    ready: list[bytes] = field(default_factory=list)
    ended: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class _Found:
    """What one round found behind one place: frames, the place after them, and whether the job is over there."""

    frames: list[bytes]
    cursor: int
    status: str
    finished: bool
    more: bool


class EventStreams:
    """Feeds every open stream of this process. All methods but `_look` run in the event loop."""

    def __init__(self, database: Database, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._streams: set[Stream] = set()
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="event-poller")

    def count(self) -> int:
        """Streams open now."""
        return len(self._streams)

    def check_quota(self, project_id: str) -> None:
        """Raises Problem 429 if the project has as many streams open as it may have."""
        count = sum(stream.project_id == project_id for stream in list(self._streams))
        if count >= MAXIMUM_STREAMS_PER_PROJECT:
            detail = f"this project has {count} event streams open on this server, as many as it may have"
            raise Problem(429, "quota_exceeded", detail, headers={"retry-after": "5"})

    async def follow(self, stream: Stream) -> AsyncIterator[bytes]:
        """Frames of `text/event-stream` from the stream's place on, ending with `done` when the job is over."""
        self._add(stream)
        try:
            yield b"retry: 1000\n\n"
            while True:
                try:
                    await asyncio.wait_for(stream.news.wait(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                stream.news.clear()
                frames, stream.ready = stream.ready, []
                if frames:
                    yield b"".join(frames)
                if stream.ended:
                    return
                self._wake.set()
        finally:
            self._streams.discard(stream)

    def close(self) -> None:
        """End all streams and the poller."""
        for stream in self._streams:
            stream.ended = True
            stream.news.set()
        if self._task is not None:
            self._task.cancel()
        self._thread.shutdown(wait=False)

    def _add(self, stream: Stream) -> None:
        self._streams.add(stream)
        if self._task is None or self._task.done():
            self._wake = asyncio.Event()
            self._task = asyncio.create_task(self._poll(), name="event-poller")
        self._wake.set()

    async def _poll(self) -> None:
        """Rounds for as long as there are streams; at once after a full one, otherwise every `poll_seconds`."""
        loop = asyncio.get_running_loop()
        while self._streams:
            hungry = [stream for stream in self._streams if not stream.ready and not stream.ended]
            full = False
            try:
                keys = {stream.key_id for stream in self._streams}
                places = {(stream.job_id, stream.cursor) for stream in hungry}
                revoked, found = await loop.run_in_executor(self._thread, self._look, keys, places)
                full = _deliver(self._streams, revoked, found)
            except Exception as error:
                known = isinstance(error, SQLAlchemyError)
                logger.warning("the event poller could not read, and goes on", exc_info=None if known else error)
            self._wake.clear()
            if not full:
                try:
                    await asyncio.wait_for(self._wake.wait(), self._poll_seconds)
                except TimeoutError:
                    continue
                await asyncio.sleep(self._poll_seconds / 10)

    def _look(
        self, keys: Iterable[str], places: Iterable[tuple[str, int]]
    ) -> tuple[set[str], dict[tuple[str, int], _Found]]:
        """One read for all streams: keys revoked meanwhile, and what is behind each place."""
        found: dict[tuple[str, int], _Found] = {}
        with self._database.read() as session:
            active = ApiKeyRepository(session).active(keys)
            events = EventRepository(session)
            heads = events.heads({job_id for job_id, _ in places})
            for job_id, cursor in places:
                head = heads.get(job_id)
                if head is None or (head.seq <= cursor and head.status not in TERMINAL):
                    continue
                page = events.page(job_id, after=cursor, limit=EVENTS_A_ROUND) if head.seq > cursor else None
                rows = page.rows if page else []
                frames = [frame(row.type, to_event(row).model_dump_json(), row.seq) for row in rows]
                last = rows[-1].seq if rows else cursor
                finished = head.status in TERMINAL and last >= head.seq
                found[job_id, cursor] = _Found(frames, last, head.status, finished, bool(page and page.has_more))
        return set(keys) - active, found


def _deliver(streams: Iterable[Stream], revoked: set[str], found: dict[tuple[str, int], _Found]) -> bool:
    """Hand out what a round found; True if some stream should not wait for the next one."""
    full = False
    for stream in streams:
        news = found.get((stream.job_id, stream.cursor))
        if stream.key_id in revoked:
            stream.ended = True
            stream.news.set()
        elif news is not None and not stream.ready and not stream.ended:
            stream.ready = list(news.frames)
            stream.cursor = news.cursor
            if news.finished:
                stream.ready.append(frame("done", json.dumps({"job": stream.job_id, "status": news.status})))
                stream.ended = True
            stream.news.set()
            full = full or news.more
    return full


def frame(event: str, data: str, number: int | None = None) -> bytes:
    """One event of the WHATWG stream; `data` is JSON on one line."""
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {event}\ndata: {data}\n\n".encode()
