from __future__ import annotations

import httpx
import pytest

import stoker
from stoker.transport import Transport

from .conftest import Reply, Scripted

JOB = {"id": "job_1", "object": "job", "status": "queued", "is_terminal": False, "created_at": "2026-11-23T10:00:00Z"}


def test_every_request_carries_the_key_and_a_name(server: Scripted, client: stoker.Client) -> None:
    server.replies = [Reply(document=JOB)]
    client.jobs.get("job_1")
    assert server.requests[0].headers["authorization"] == "Bearer sk_test"
    assert server.requests[0].headers["user-agent"].startswith("stoker/")


@pytest.mark.parametrize(
    "failure", [Reply(hang_up=True), Reply(503), Reply(502), Reply(429, headers={"Retry-After": "1"})]
)
def test_a_creation_is_repeated_under_the_same_idempotency_key(
    server: Scripted, client: stoker.Client, failure: Reply
) -> None:
    server.replies = [failure, failure, Reply(201, JOB)]
    assert client.jobs.create({"name": "x"}).id == "job_1"
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 1
    assert [request.json for request in server.requests] == [{"name": "x"}] * 3


def test_two_creations_have_two_keys(server: Scripted, client: stoker.Client) -> None:
    server.replies = [Reply(201, JOB)]
    client.jobs.create({})
    client.jobs.create({})
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 2


def test_a_verb_that_may_have_been_carried_out_is_not_repeated(server: Scripted, client: stoker.Client) -> None:
    server.replies = [Reply(hang_up=True), Reply(document=JOB)]
    with pytest.raises(stoker.ConnectionFailedError):
        client.jobs.cancel("job_1")
    assert len(server.requests) == 1


def test_a_verb_refused_for_now_is_repeated(server: Scripted, client: stoker.Client) -> None:
    server.replies = [Reply(503), Reply(document=JOB)]
    assert client.jobs.pause("job_1").id == "job_1"


def test_a_deletion_whose_answer_was_lost_counts(server: Scripted, client: stoker.Client) -> None:
    server.replies = [Reply(hang_up=True), Reply(404, {"title": "Not Found"})]
    client.datasets.delete("ds_1")
    server.replies = [Reply(404, {"title": "Not Found"})]
    with pytest.raises(stoker.NotFoundError):
        client.datasets.delete("ds_1")


def test_giving_up_names_the_server(client: stoker.Client, server: Scripted) -> None:
    server.replies = [Reply(hang_up=True)]
    with pytest.raises(stoker.ConnectionFailedError, match=f"no answer from {server.url}"):
        client.jobs.get("job_1")
    assert len(server.requests) == 5


def test_a_problem_is_readable_with_its_pointers(server: Scripted, client: stoker.Client) -> None:
    fault = {"pointer": "/model/layers/3/units", "detail": "expected an integer of at least 1, received -1"}
    problem = {"title": "Unprocessable", "detail": "The job has 1 fault.", "code": "invalid_definition"}
    server.replies = [Reply(422, {**problem, "errors": [fault], "request_id": "req_7"})]
    with pytest.raises(stoker.InvalidRequestError) as raised:
        client.jobs.create({})
    assert raised.value.faults == (stoker.Fault(**fault),)
    assert str(raised.value) == (
        "The job has 1 fault. (HTTP 422, invalid_definition, request req_7)\n"
        "  /model/layers/3/units: expected an integer of at least 1, received -1"
    )


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, stoker.InvalidRequestError), (401, stoker.AuthenticationError), (403, stoker.AuthenticationError),
        (404, stoker.NotFoundError), (409, stoker.ConflictError), (413, stoker.InvalidRequestError),
        (429, stoker.RateLimitedError), (500, stoker.ServerError), (301, stoker.InvalidRequestError),
    ],
)  # fmt: skip
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"errors": 5}'])
def test_any_refusal_is_an_api_error_whatever_its_body(
    server: Scripted, client: stoker.Client, status: int, kind: type[stoker.ApiError], body: bytes
) -> None:
    server.replies = [Reply(status, body=body)]
    with pytest.raises(kind) as raised:
        client.jobs.get("job_1")
    assert raised.value.status == status


def test_a_redirect_is_not_followed_with_the_key(server: Scripted, client: stoker.Client) -> None:
    server.replies = [Reply(307, headers={"Location": "http://elsewhere.invalid/"})]
    with pytest.raises(stoker.ApiError):
        client.jobs.get("job_1")
    assert len(server.requests) == 1


def test_no_proxy_stands_before_this_machine(monkeypatch: pytest.MonkeyPatch, server: Scripted) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:1")
    server.replies = [Reply(document=JOB)]
    with stoker.Client(server.url, "sk_test", retries=0) as direct:
        assert direct.jobs.get("job_1").id == "job_1"


def test_pages_follow_one_another(server: Scripted, client: stoker.Client) -> None:
    first = {"data": [{"id": "job_3"}, {"id": "job_2"}], "last_id": "job_2", "has_more": True}
    server.replies = [
        Reply(document=first),
        Reply(document={"data": [{"id": "job_1"}], "last_id": "job_1", "has_more": False}),
    ]
    assert [job.id for job in client.jobs.list(metadata={"team": "a b"})] == ["job_3", "job_2", "job_1"]
    assert httpx.URL(server.requests[0].path).params["metadata[team]"] == "a b"
    assert httpx.URL(server.requests[1].path).params["after"] == "job_2"


def test_the_transport_is_one_configuration(server: Scripted) -> None:
    client = stoker.Client(server.url, "sk_test")
    assert isinstance(client.transport, Transport) and client.transport.configuration is client.configuration
    client.close()
