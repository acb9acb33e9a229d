"""Events: as pages, and live."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from store.repositories import ApiKeyRepository
from store.repositories.events import NewEvent
from store.repositories.running_jobs import RunningJobRepository
from tests.api.conftest import client, new_key
from tests.api.work import claim, finish, new_job, publish, ready_dataset


@pytest.fixture(scope="module")
def dataset(server):
    return ready_dataset(server.http, server.database)


@pytest.fixture
def job(server, dataset):
    return new_job(server.http, dataset)


def say(server, row, *messages):
    events = [NewEvent(type="log", message=message, data={"text": message}) for message in messages]
    with server.database.write() as session:
        RunningJobRepository(session).report(row.id, row.token, events=events)


@contextmanager
def stream(http, job_id, after=None, **headers):
    params = {} if after is None else {"after": after}
    accept = {"accept": "text/event-stream", **headers}
    with http.stream("GET", f"/v1/jobs/{job_id}/events", headers=accept, params=params) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield frames(response)


def frames(response):
    """(id, event, data) of every event; comments and `retry` are skipped."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        else:
            if "data" in fields:
                yield fields.get("id"), fields["event"], json.loads(fields["data"])
            fields = {}


def test_a_list_of_events_is_read_page_by_page(server, job):
    row = claim(server.database, job["id"])
    say(server, row, *"abcde")
    path = f"/v1/jobs/{job['id']}/events"
    whole = server.http.get(path).json()
    assert [event["type"] for event in whole["data"]] == ["status", "status", "log", "log", "log", "log", "log"]
    assert [event["message"] for event in whole["data"]][2:] == [*"abcde"]
    first = whole["data"][0]
    assert (first["object"], first["job"], first["data"]["status"]) == ("job.event", job["id"], "queued")
    ids = [event["id"] for event in whole["data"]]
    assert ids == sorted(ids)
    page = server.http.get(path, params={"limit": 3}).json()
    rest = server.http.get(path, params={"limit": 100, "after": page["last_id"]}).json()
    assert page["has_more"] and not rest["has_more"]
    assert page["data"] + rest["data"] == whole["data"]
    assert server.http.get(path, params={"after": 3}).json()["data"] == whole["data"][3:]
    newest = server.http.get(path, params={"order": "desc", "limit": 1}).json()
    assert newest["data"] == whole["data"][-1:]


def test_a_stream_is_live_and_ends_with_done(server, job):
    with stream(server.http, job["id"]) as events:
        number, event, data = next(events)
        assert (number, event, data["data"]["status"]) == ("1", "status", "queued")
        row = claim(server.database, job["id"])
        assert next(events)[2]["data"]["status"] == "running"
        began = time.monotonic()
        say(server, row, "hello")
        number, event, data = next(events)
        assert time.monotonic() - began < 2
        assert (number, event, data["message"]) == ("3", "log", "hello")
        publish(server.database, row, 5, b"weights")
        assert next(events)[1] == "checkpoint"
        finish(server.database, row, "succeeded")
        number, event, data = next(events)
        assert (number, event, data["data"]["status"]) == ("5", "status", "succeeded")
        assert next(events) == (None, "done", {"job": job["id"], "status": "succeeded"})
        assert next(events, "end") == "end"


def test_a_stream_is_taken_up_where_it_broke_off(server, job):
    row = claim(server.database, job["id"])
    say(server, row, *[f"line {n}" for n in range(500)])
    finish(server.database, row, "failed", error={"code": "x", "message": "y", "pointer": None})
    with stream(server.http, job["id"]) as events:
        seen = [next(events)[0] for _ in range(100)]
    with stream(server.http, job["id"], **{"last-event-id": seen[-1]}) as events:
        rest = list(events)
    assert seen + [number for number, _, _ in rest[:-1]] == [str(n) for n in range(1, 504)]
    assert rest[-1][1] == "done"
    with stream(server.http, job["id"], after=502) as events:
        assert [event for _, event, _ in events] == ["status", "done"]
    with stream(server.http, job["id"], **{"last-event-id": "503"}) as events:
        assert [event for _, event, _ in events] == ["done"]


def test_sixty_streams_hold_no_thread_and_nobody_else_up(server, dataset):
    job = new_job(server.http, dataset)
    row = claim(server.database, job["id"])
    with client(server.url, server.secret) as other, ThreadPoolExecutor(60) as threads:
        ready = threading.Barrier(61, timeout=30)

        def follow(_):
            with stream(server.http, job["id"], after=2) as events:
                ready.wait()
                return [event for _, event, _ in events]

        server.http.timeout = 60
        following = [threads.submit(follow, n) for n in range(60)]
        ready.wait()
        slowest = 0.0
        for _ in range(20):
            began = time.monotonic()
            assert other.get(f"/v1/jobs/{job['id']}").status_code == 200
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 1.0
        say(server, row, "to all")
        finish(server.database, row, "succeeded")
        assert [one.result(timeout=30) for one in following] == [["log", "status", "done"]] * 60
    deadline = time.monotonic() + 5
    while server.app.state.service.streams.count():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_stream_of_a_revoked_key_ends(server, job):
    _, key_id, secret = new_key(server.database, server.project_id)
    with client(server.url, secret) as http, stream(http, job["id"]) as events:
        next(events)
        with server.database.write() as session:
            ApiKeyRepository(session).revoke(key_id)
        assert next(events, "end") == "end"


def test_a_silent_stream_has_a_heartbeat(server, job, monkeypatch):
    from api import event_stream

    monkeypatch.setattr(event_stream, "HEARTBEAT_SECONDS", 0.2)
    with server.http.stream(
        "GET", f"/v1/jobs/{job['id']}/events?after=1", headers={"accept": "text/event-stream"}
    ) as response:
        lines = response.iter_lines()
        assert next(line for line in lines if line.startswith(":")) == ": still here"


@pytest.mark.parametrize("cursor", ["-1", "x", "1.5", "9" * 50, "evt_" + "0" * 32 + "_000000000001", "١", ""])
def test_a_forged_place_is_refused(server, job, cursor):
    path = f"/v1/jobs/{job['id']}/events"
    response = server.http.get(path, params={"after": cursor})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_cursor")
    if cursor:
        headers = {"accept": "text/event-stream", "last-event-id": cursor.encode()}
        assert server.http.get(path, headers=headers).status_code == 422


def test_a_project_opens_so_many_streams_and_no_more(server, job, monkeypatch):
    from api import event_stream

    monkeypatch.setattr(event_stream, "MAXIMUM_STREAMS_PER_PROJECT", 1)
    with stream(server.http, job["id"]) as events:
        next(events)
        with client(server.url, server.secret) as http:
            refused = http.get(f"/v1/jobs/{job['id']}/events", headers={"accept": "text/event-stream"})
        assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
