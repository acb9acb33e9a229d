from __future__ import annotations

import json

import pytest

import stoker

from .conftest import Reply, Scripted

STREAM = {"Content-Type": "text/event-stream"}


def frames(*events: tuple[int, str], end: bytes = b"") -> Reply:
    """A stream of events (id, type), broken off after them."""
    body = b"".join(
        f"id: {number}\nevent: {kind}\ndata: {json.dumps({'id': str(number), 'type': kind, 'data': {}})}\n\n".encode()
        for number, kind in events
    )
    return Reply(body=b": hello\n\n" + body + end, headers=STREAM)


def test_a_broken_stream_goes_on_after_the_last_event(server: Scripted, client: stoker.Client) -> None:
    server.replies = [
        frames((1, "status"), (2, "metrics"), end=b"id: 3\nevent: metr"),
        Reply(hang_up=True),
        Reply(503),
        frames((3, "metrics"), (4, "status")),
        frames((5, "done")),
    ]
    assert [event.id for event in client.jobs.events("job_1")] == ["1", "2", "3", "4", "5"]
    seen = [request.headers.get("last-event-id") for request in server.requests]
    assert seen == [None, "2", "2", "2", "4"]
    assert {request.headers["accept"] for request in server.requests} == {"text/event-stream"}


def test_reading_may_begin_after_an_event(server: Scripted, client: stoker.Client) -> None:
    server.replies = [frames((8, "done"))]
    assert [event.type for event in client.jobs.events("job_1", after="7")] == ["done"]
    assert server.requests[0].headers["last-event-id"] == "7"


def test_an_event_sent_again_is_told_once(server: Scripted, client: stoker.Client) -> None:
    server.replies = [frames((1, "status")), frames((1, "status"), (2, "done"))]
    assert [event.id for event in client.jobs.events("job_1")] == ["1", "2"]


def test_done_without_a_number_of_its_own_ends_the_stream(server: Scripted, client: stoker.Client) -> None:
    server.replies = [Reply(body=b"id: 4\nevent: status\ndata: {}\n\nevent: done\ndata: {}\n\n", headers=STREAM)]
    assert [event.type for event in client.jobs.events("job_1")] == ["status", "done"]


@pytest.mark.parametrize("status", [401, 404])
def test_a_refusal_ends_it(server: Scripted, client: stoker.Client, status: int) -> None:
    server.replies = [Reply(status)]
    with pytest.raises(stoker.ApiError):
        list(client.jobs.events("job_1"))
    assert len(server.requests) == 1


def test_waiting_for_a_job_that_fails_raises_its_cause(server: Scripted, client: stoker.Client) -> None:
    failed = {
        "id": "job_1",
        "status": "failed",
        "is_terminal": True,
        "error": {"code": "nan", "message": "loss is NaN"},
    }
    server.replies = [frames((1, "done")), Reply(document=failed)]
    with pytest.raises(stoker.JobFailedError, match=r"job_1 is failed: loss is NaN \(nan\)"):
        client.jobs.wait("job_1")
