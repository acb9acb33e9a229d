"""The same Idempotency-Key: done once, answered alike, however the requests meet."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api.work import CSV, MODEL, job_body, ready_dataset, upload


@pytest.fixture(scope="module")
def dataset(server):
    return ready_dataset(server.http, server.database)


def key():
    return {"idempotency-key": str(uuid.uuid4())}


def test_the_same_request_again_gives_the_same_answer(server, dataset):
    headers = key()
    first = server.http.post("/v1/jobs", json=job_body(dataset), headers=headers)
    again = server.http.post("/v1/jobs", json=job_body(dataset), headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert first.headers["location"] == again.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"


def test_without_a_key_everything_is_done_again(server, dataset):
    ids = {server.http.post("/v1/jobs", json=job_body(dataset)).json()["id"] for _ in range(2)}
    assert len(ids) == 2


def test_twins_at_the_same_moment_create_one_job(server, dataset):
    headers = key()
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(lambda _: server.http.post("/v1/jobs", json=job_body(dataset), headers=headers), range(8))
        )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 7


def test_the_same_key_with_another_body_is_refused(server, dataset):
    headers = key()
    assert server.http.post("/v1/jobs", json=job_body(dataset), headers=headers).status_code == 201
    response = server.http.post("/v1/jobs", json=job_body(dataset, name="another"), headers=headers)
    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    response = server.http.post("/v1/models", json={"model": MODEL}, headers=headers)
    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")


def test_a_key_is_the_projects_own(server):
    headers = key()
    mine = server.http.post("/v1/models", json={"model": MODEL}, headers=headers).json()
    theirs = server.other.post("/v1/models", json={"model": MODEL}, headers=headers).json()
    assert mine["id"] != theirs["id"]


def test_a_refused_request_may_come_again_corrected(server, dataset):
    headers = key()
    assert server.http.post("/v1/jobs", json=job_body("ds_" + "0" * 32), headers=headers).status_code == 404
    assert server.http.post("/v1/jobs", json=job_body(dataset), headers=headers).status_code == 201


def test_uploads_are_the_same_if_their_bytes_are(server):
    headers = key()
    first = upload(server.http, name="twice", headers=headers)
    again = upload(server.http, name="twice", headers=headers)
    assert first.status_code == 202
    assert first.content == again.content
    other = upload(server.http, CSV + "1,2,odd\n", name="twice", headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    other = upload(server.http, name="renamed", headers=headers)
    assert other.status_code == 422


def test_twin_uploads_create_one_dataset(server):
    headers = key()
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: upload(server.http, b"x" * 3_000_000, headers=headers), range(4)))
    assert [answer.status_code for answer in answers] == [202] * 4
    assert len({answer.json()["id"] for answer in answers}) == 1


@pytest.mark.parametrize("text", ["", "a" * 256, "a\tb", "\x80"])
def test_what_cannot_be_a_key_is_refused(server, text):
    response = server.http.post(
        "/v1/models", json={"model": MODEL}, headers={"idempotency-key": text.encode("latin-1")}
    )
    assert response.status_code == 422
    assert response.json()["errors"][0]["parameter"] == "idempotency-key"
