"""What happens to a job: as a list, or live."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Request
from starlette.responses import Response, StreamingResponse

from api.deps import TheCaller, TheService
from api.event_stream import Stream
from api.pagination import PagingOldestFirst
from api.route import resource
from api.routes.jobs import find_job
from api.schemas.base import Listing
from api.schemas.events import EventAnswer, read_cursor, to_event
from store.repositories import EventRepository

router = resource("/jobs/{job_id}/events", "events")

STREAM = "text/event-stream"


@router.get(
    "",
    response_model=Listing[EventAnswer],
    responses={200: {"content": {STREAM: {"schema": {"type": "string"}}}, "description": "a page, or the live stream"}},
)
def read_events(
    job_id: str,
    request: Request,
    service: TheService,
    caller: TheCaller,
    page: PagingOldestFirst,
    last_event_id: Annotated[str | None, Header(description="where a broken stream is taken up again")] = None,
) -> Response | Listing[EventAnswer]:
    """A page of events, oldest first; with `Accept: text/event-stream` a live stream that ends with `done`.

    A stream's events are named status, metrics, checkpoint and log, and their ids are the events' numbers.
    """
    after = read_cursor(page.after, job_id, parameter="after")
    if STREAM in request.headers.get("accept", ""):
        after = read_cursor(last_event_id, job_id, parameter="last-event-id") if last_event_id else after
        with service.database.read() as session:
            find_job(session, caller, job_id)
        service.streams.check_quota(caller.project_id)
        stream = Stream(caller.project_id, caller.key_id, job_id, after or 0)
        return StreamingResponse(service.streams.follow(stream), media_type=STREAM, headers={"x-accel-buffering": "no"})
    with service.database.read() as session:
        find_job(session, caller, job_id)
        found = EventRepository(session).page(job_id, after=after, limit=page.limit, order=page.order)
        return Listing[EventAnswer].of((to_event(row) for row in found.rows), has_more=found.has_more)
