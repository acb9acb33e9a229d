"""Uploads and what is told of them."""

from __future__ import annotations

import hashlib
import io

import pytest

from store.blobs import read_blob
from store.repositories import DatasetRepository
from tests.api.conftest import running
from tests.api.work import CSV, ingest_all, job_body, ready_dataset, upload


def test_an_upload_is_accepted_ingested_and_described(server):
    response = upload(server.http, name="shapes", format="csv")
    assert response.status_code == 202
    dataset = response.json()
    assert response.headers["location"] == f"/v1/datasets/{dataset['id']}"
    assert dataset["object"] == "dataset"
    assert dataset["status"] == "processing"
    assert dataset["features"] is None
    assert dataset["bytes"] == len(CSV)
    assert dataset["sha256"] == hashlib.sha256(CSV.encode()).hexdigest()
    path = f"/v1/datasets/{dataset['id']}"
    for part in ("/profile", "/preview"):
        early = server.http.get(path + part)
        assert (early.status_code, early.json()["code"]) == (409, "dataset_not_ready")
    ingest_all(server.database)
    ready = server.http.get(path).json()
    assert ready["status"] == "ready"
    assert ready["examples"] == 40
    assert [feature["name"] for feature in ready["features"]] == ["height", "width", "label"]
    assert ready["classes"] is None or set(ready["classes"]) == {"even", "odd"}
    profile = server.http.get(path + "/profile").json()
    assert profile["columns"].keys() == {"height", "width", "label"}
    preview = server.http.get(path + "/preview", params={"limit": 3}).json()
    assert len(preview["data"]) == 3


def test_a_name_used_again_gives_a_new_version(server):
    first, second = (upload(server.http, name="versions").json() for _ in range(2))
    assert (first["version"], second["version"]) == (1, 2)
    assert upload(server.other, name="versions").json()["version"] == 1


def test_an_upload_of_many_chunks_is_stored_byte_for_byte(server):
    content = hashlib.shake_256(b"seed").digest(9_500_000)
    dataset = upload(server.http, content, "big.bin").json()
    with server.database.read() as session:
        blob = DatasetRepository(session).get(server.project_id, dataset["id"]).source_blob
    assert dataset["sha256"] == hashlib.sha256(content).hexdigest()
    assert blob is not None
    assert b"".join(read_blob(server.database, blob)) == content
    server.http.delete(f"/v1/datasets/{dataset['id']}")


def test_pages_go_through_all_datasets_once(sqlite_server):
    made = [upload(sqlite_server.http, name=f"page {n}").json()["id"] for n in range(5)]
    seen, after = [], None
    while True:
        page = sqlite_server.http.get("/v1/datasets", params={"limit": 2, **({"after": after} if after else {})}).json()
        assert page["object"] == "list"
        ids = [item["id"] for item in page["data"]]
        assert (page["first_id"], page["last_id"]) == (ids[0], ids[-1])
        seen += ids
        after = page["last_id"]
        if not page["has_more"]:
            break
    assert seen == made[::-1]
    ascending = sqlite_server.http.get("/v1/datasets", params={"order": "asc", "limit": 5}).json()
    assert [item["id"] for item in ascending["data"]] == made
    empty = sqlite_server.other.get("/v1/datasets").json()
    assert empty == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


def test_a_deleted_dataset_is_gone_and_one_in_use_stays(server):
    dataset = ready_dataset(server.http, server.database)
    job = server.http.post("/v1/jobs", json=job_body(dataset)).json()
    refused = server.http.delete(f"/v1/datasets/{dataset}")
    assert (refused.status_code, refused.json()["code"]) == (409, "dataset_in_use")
    server.http.post(f"/v1/jobs/{job['id']}/cancel")
    assert server.http.delete(f"/v1/datasets/{dataset}").status_code == 204
    assert server.http.get(f"/v1/datasets/{dataset}").status_code == 404
    assert server.http.delete(f"/v1/datasets/{dataset}").status_code == 404
    assert server.http.get(f"/v1/jobs/{job['id']}").json()["dataset"] == dataset


def test_a_project_stores_so_much_and_no_more(sqlite_database):
    with running(sqlite_database, project_bytes=100_000) as server:
        assert upload(server.http, b"a" * 50_000).status_code == 202
        response = upload(server.http, b"b" * 60_000)
        assert (response.status_code, response.json()["code"]) == (429, "quota_exceeded")
        assert upload(server.other, b"b" * 60_000).status_code == 202


def test_a_file_over_the_limit_is_refused(sqlite_database):
    with running(sqlite_database, upload_bytes=100_000) as server:
        response = upload(server.http, b"a" * 2_000_000)
        assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
        response = upload(server.http, b"a" * 100_001)
        assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


def test_a_refused_upload_leaves_no_bytes_behind(sqlite_server):
    for _ in range(3):
        assert upload(sqlite_server.http, b"a" * 3_000_000, format="parquet").status_code == 422
    with sqlite_server.database.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM chunks").scalar() == 0
        assert connection.exec_driver_sql("SELECT count(*) FROM blobs").scalar() == 0


@pytest.mark.parametrize("filename", ["../../etc/passwd", "C:\\x\\y.csv", "a\r\nSet-Cookie: x", "é" * 500, ""])
def test_a_file_name_is_only_a_name(server, filename):
    response = upload(server.http, io.BytesIO(CSV.encode()).read(), filename or "x", name="n")
    assert response.status_code == 202
    with server.database.read() as session:
        stored = DatasetRepository(session).get(server.project_id, response.json()["id"]).filename
    assert stored and "/" not in stored and "\\" not in stored and stored.isprintable() and len(stored) <= 200
