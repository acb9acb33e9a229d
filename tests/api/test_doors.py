"""Keys, limits on bodies, and what every response carries."""

from __future__ import annotations

import gzip
import json
import time

import httpx
import pytest

from store.repositories import ApiKeyRepository
from tests.api.conftest import client, new_key, running

PROTECTED = [
    ("GET", "/v1/jobs"),
    ("POST", "/v1/jobs"),
    ("GET", "/v1/datasets"),
    ("POST", "/v1/datasets"),
    ("GET", "/v1/catalogue"),
    ("POST", "/v1/models/validate"),
    ("GET", "/v1/nothing"),
    ("GET", "/nothing"),
    ("GET", "/docs"),
]


def is_problem(response: httpx.Response, status: int, code: str) -> bool:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == status
    assert document["code"] == code
    assert document["request_id"] == response.headers["x-request-id"]
    assert {"type", "title", "detail"} <= document.keys()
    return True


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_every_path_needs_a_key(server, method, path):
    response = httpx.request(method, server.url + path)
    assert is_problem(response, 401, "unauthorized")
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer sk_wrong",
        "Basic dXNlcjpwYXNz",
        "sk_alone",
        "Bearer " + "a" * 5000,
        "Bearer sk_" + "0" * 56,
        "Bearer \xe9",
    ],
)
def test_what_is_no_key_is_refused(server, header):
    assert is_problem(
        httpx.get(server.url + "/v1/jobs", headers={"authorization": header.encode("latin-1")}), 401, "unauthorized"
    )


def test_a_key_with_one_digit_changed_is_refused_without_saying_more(server):
    secret = server.secret[:10] + ("0" if server.secret[10] != "0" else "1") + server.secret[11:]
    response = httpx.get(server.url + "/v1/jobs", headers={"authorization": f"Bearer {secret}"})
    assert is_problem(response, 401, "unauthorized")
    assert secret not in response.text


def test_a_revoked_key_opens_nothing_within_a_second(server):
    _, key_id, secret = new_key(server.database, server.project_id)
    with client(server.url, secret) as http:
        assert http.get("/v1/jobs").status_code == 200
        with server.database.write() as session:
            ApiKeyRepository(session).revoke(key_id)
        deadline = time.monotonic() + 3.0  # the second, and what a busy machine takes for a request
        while http.get("/v1/jobs").status_code == 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_health_and_the_description_need_no_key_on_this_machine(server):
    assert httpx.get(server.url + "/healthz").json() == {"status": "ok"}
    assert httpx.get(server.url + "/openapi.json").json()["info"]["title"] == "Stoker"
    assert "stoker_work_waiting" in httpx.get(server.url + "/metrics").text


@pytest.mark.parametrize("path", ["/openapi.json", "/metrics"])
def test_a_proxy_on_this_machine_does_not_open_them(server, path):
    assert httpx.get(server.url + path, headers={"x-forwarded-for": "203.0.113.7"}).status_code == 401
    assert server.http.get(path, headers={"x-forwarded-for": "203.0.113.7"}).status_code == 200


def test_every_response_carries_an_id_of_its_own(server):
    ids = {
        server.http.get(path).headers["x-request-id"] for path in ("/healthz", "/v1/jobs", "/v1/nothing", "/v1/jobs/x")
    }
    assert len(ids) == 4


def test_unknown_paths_and_verbs(server):
    assert is_problem(server.http.get("/v1/nothing"), 404, "not_found")
    assert is_problem(server.http.get("/v1/jobs/"), 404, "not_found")
    assert is_problem(server.http.put("/v1/jobs"), 405, "method_not_allowed")
    assert is_problem(server.http.post("/v1/jobs/job_x/evaluations"), 404, "not_found")
    assert is_problem(server.http.get("/v2"), 404, "not_found")


def send(server, head: str, body: bytes = b"", *, key: bool = True) -> bytes:
    """One request over a bare connection; the beginning of the answer."""
    authorization = f"Authorization: Bearer {server.secret}\r\n" if key else ""
    with server.connect() as connection:
        connection.sendall(f"{head}Host: x\r\n{authorization}\r\n".encode() + body)
        return connection.recv(65536)


@pytest.mark.parametrize("key", [True, False])
def test_an_upload_is_refused_before_it_is_read(server, key):
    # Only the head is sent: an answer shows that nothing of the terabyte was waited for.
    form = "Content-Type: multipart/form-data; boundary=x\r\n"
    head = f"POST /v1/datasets HTTP/1.1\r\n{form}Content-Length: 1000000000000\r\n"
    began = time.monotonic()
    answer = send(server, head, key=key)
    assert answer.startswith(b"HTTP/1.1 413" if key else b"HTTP/1.1 401")
    assert b"connection: close" in answer.lower()
    assert time.monotonic() - began < 5


def test_an_endless_chunked_body_is_cut_off(sqlite_database):
    with running(sqlite_database, body_bytes=100_000) as server, server.connect() as connection:
        head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.secret}\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(20):
            connection.sendall(b"2710\r\n" + b" " * 10_000 + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")


def test_a_body_over_the_limit_is_refused(sqlite_database):
    with running(sqlite_database, body_bytes=1000) as server:
        response = server.http.post("/v1/models", content=b'{"model": "' + b"a" * 1000 + b'"}')
        assert is_problem(response, 413, "body_too_large")


def test_compressed_bodies_are_refused(server):
    bomb = gzip.compress(b" " * 10_000_000)
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    assert is_problem(server.http.post("/v1/jobs", content=bomb, headers=headers), 415, "unsupported_content_encoding")


@pytest.mark.parametrize(("media_type", "path"), [
    ("text/plain", "/v1/models"), ("application/x-www-form-urlencoded", "/v1/models"),
    ("multipart/form-data; boundary=x", "/v1/models/validate")])
def test_a_definition_is_json(server, media_type, path):
    response = server.http.post(path, content=b"{}", headers={"content-type": media_type})
    assert is_problem(response, 415, "unsupported_media_type")


def test_a_form_that_is_none_is_refused(server):
    headers = {"content-type": "multipart/form-data; boundary=x"}
    response = server.http.post("/v1/models", content=b"{}", headers=headers)
    assert is_problem(response, 400, "invalid_form")


def test_a_body_without_a_type_counts_as_json(server):
    response = server.http.post("/v1/models/validate", content=b'{"batch_size": 0}')
    assert {error["pointer"] for error in response.json()["errors"]} == {"/model", "/batch_size"}


def test_a_trickling_body_is_cut_off(sqlite_database, monkeypatch):
    from api import app
    from api.body_limits import BodyLimits

    limits = BodyLimits(10_000, 10_000, 10_000, idle_seconds=0.5, grace_seconds=0.5, minimum_bytes_per_second=4096)
    monkeypatch.setattr(app, "_body_limits", lambda settings: limits)
    with running(sqlite_database) as server:
        key = f"Authorization: Bearer {server.secret}\r\n"
        head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\n{key}Content-Length: 9999\r\n\r\n"
        with server.connect() as stopped:
            stopped.sendall(head.encode() + b"{")
            assert stopped.recv(65536).startswith(b"HTTP/1.1 408")
        with server.connect() as trickling:
            trickling.sendall(head.encode())
            trickling.settimeout(0.1)
            answer, deadline = b"", time.monotonic() + 5
            while not answer and time.monotonic() < deadline:
                trickling.sendall(b" ")
                try:
                    answer = trickling.recv(65536)
                except TimeoutError:
                    continue
            assert answer.startswith(b"HTTP/1.1 408")


def test_a_project_may_ask_so_often_and_no_more(sqlite_database):
    with running(sqlite_database, project_requests_per_minute=20) as server:
        statuses = [server.http.get("/v1/jobs").status_code for _ in range(25)]
        assert statuses[:20] == [200] * 20
        response = server.http.get("/v1/jobs")
        assert is_problem(response, 429, "too_many_requests")
        assert int(response.headers["retry-after"]) >= 1
        assert server.other.get("/v1/jobs").status_code == 200


def test_a_fault_of_the_server_says_nothing_of_its_inside(sqlite_server, monkeypatch):
    from store.repositories import JobRepository

    def broken(*arguments, **options):
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(JobRepository, "page", broken)
    response = sqlite_server.http.get("/v1/jobs")
    assert is_problem(response, 500, "internal_error")
    assert "inside" not in json.dumps(response.json()).replace("internal", "")
