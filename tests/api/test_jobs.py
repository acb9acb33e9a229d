"""Jobs as users make, see and steer them."""

from __future__ import annotations

import pytest

from tests.api.conftest import running
from tests.api.work import MODEL, claim, finish, job_body, new_job, publish, ready_dataset


@pytest.fixture(scope="module")
def dataset(server):
    return ready_dataset(server.http, server.database)


def test_a_job_comes_back_as_it_was_understood(server, dataset):
    response = server.http.post("/v1/jobs", json=job_body(dataset, metadata={"team": "vision"}))
    assert response.status_code == 201, response.text
    job = response.json()
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    assert job["object"] == "job"
    assert job["status"] == "queued"
    assert job["is_terminal"] is False
    assert job["attempt"] == 0
    assert job["error"] is None
    assert job["metadata"] == {"team": "vision"}
    assert job["dataset"] == dataset
    assert job["training"]["optimizer"]["beta_1"] == 0.9
    assert job["training"]["seed"] is not None
    assert job["links"]["events"] == f"/v1/jobs/{job['id']}/events"
    assert job["created_at"].endswith("Z")
    assert server.http.get(f"/v1/jobs/{job['id']}").json() == job


def test_what_was_understood_is_understood_again_alike(server, dataset):
    job = new_job(server.http, dataset)
    again = {name: job[name] for name in ("model", "dataset", "data", "training", "checkpoints", "resources")}
    second = server.http.post("/v1/jobs", json=again).json()
    assert {name: second[name] for name in again} == again


def test_a_stored_model_may_be_named(server, dataset):
    model = server.http.post("/v1/models", json={"name": "net", "model": MODEL}).json()
    job = new_job(server.http, dataset, model=model["id"])
    assert job["model_id"] == model["id"]
    assert job["model"] == model["model"]


def test_lists_are_filtered_by_status_and_metadata(server, dataset):
    tags = {"team": "filters", "odd key'\"$[0]": "ü"}
    wanted = new_job(server.http, dataset, metadata=tags)
    new_job(server.http, dataset, metadata={"team": "others"})
    for filters in (
        {"metadata[team]": "filters"},
        {"metadata[odd key'\"$[0]]": "ü"},
        {f"metadata[{k}]": v for k, v in tags.items()},
    ):
        page = server.http.get("/v1/jobs", params=filters).json()
        assert [job["id"] for job in page["data"]] == [wanted["id"]]
    assert server.http.get("/v1/jobs", params={"metadata[team]": "filters", "status": "running"}).json()["data"] == []
    assert server.http.get("/v1/jobs", params={"metadata[team]": "nobody"}).json()["data"] == []


def test_a_waiting_job_is_cancelled_at_once_and_may_be_retried(server, dataset):
    path = f"/v1/jobs/{new_job(server.http, dataset)['id']}"
    cancelled = server.http.post(f"{path}/cancel").json()
    assert (cancelled["status"], cancelled["is_terminal"]) == ("cancelled", True)
    again = server.http.post(f"{path}/cancel", json={})
    assert (again.status_code, again.json()) == (200, cancelled)
    retried = server.http.post(f"{path}/retry").json()
    assert (retried["status"], retried["cancel_requested_at"], retried["finished_at"]) == ("queued", None, None)


def test_a_running_job_is_asked_and_a_paused_one_goes_on(server, dataset):
    job = new_job(server.http, dataset)
    path = f"/v1/jobs/{job['id']}"
    row = claim(server.database, job["id"])
    asked = server.http.post(f"{path}/pause").json()
    assert (asked["status"], asked["attempt"]) == ("running", 1)
    assert asked["pause_requested_at"] is not None
    finish(server.database, row, "paused")
    assert server.http.get(path).json()["status"] == "paused"
    assert server.http.post(f"{path}/resume").json()["status"] == "queued"
    claim(server.database, job["id"])
    asked = server.http.post(f"{path}/cancel").json()
    assert asked["status"] == "running"
    assert asked["cancel_requested_at"] is not None


@pytest.mark.parametrize("verb", ["pause", "resume", "retry"])
def test_verbs_out_of_place(server, dataset, verb):
    path = f"/v1/jobs/{new_job(server.http, dataset)['id']}"
    response = server.http.post(f"{path}/{verb}")
    assert (response.status_code, response.json()["code"]) == (409, "illegal_transition")
    assert response.json()["detail"].endswith("; this one is queued")


def test_a_failed_job_tells_its_cause(server, dataset):
    job = new_job(server.http, dataset)
    error = {"code": "not_finite", "message": "the loss is NaN", "pointer": None}
    finish(server.database, claim(server.database, job["id"]), "failed", error=error)
    answer = server.http.get(f"/v1/jobs/{job['id']}").json()
    assert (answer["status"], answer["error"]) == ("failed", error)


def test_a_clone_is_the_same_job_changed(server, dataset):
    job = new_job(server.http, dataset, metadata={"team": "vision", "run": "1"})
    path = f"/v1/jobs/{job['id']}/clone"
    patch = {"training": {"epochs": 7, "optimizer": {"type": "SGD", "learning_rate": 0.5}}, "metadata": {"run": None}}
    clone = server.http.post(path, json=patch).json()
    assert clone["id"] != job["id"]
    assert clone["training"]["epochs"] == 7
    assert clone["training"]["optimizer"]["type"] == "SGD"
    assert "beta_1" not in clone["training"]["optimizer"]
    assert clone["training"]["batch_size"] == job["training"]["batch_size"]
    assert clone["metadata"] == {"team": "vision"}
    assert clone["model"] == job["model"]
    same = server.http.post(path, json={}).json()
    for block in ("model", "data", "training", "checkpoints", "resources", "dataset", "metadata"):
        assert same[block] == job[block]


def test_a_warm_start_takes_definition_and_weights(server, dataset):
    job = new_job(server.http, dataset, checkpoints={"monitor": "val_loss"})
    start = {"from_job": job["id"], "checkpoint": "best"}
    early = server.http.post("/v1/jobs", json=job_body(dataset, model=start))
    assert (early.status_code, early.json()["code"]) == (409, "no_checkpoint")
    row = claim(server.database, job["id"])
    best = publish(server.database, row, 10, b"best", best=True)
    last = publish(server.database, row, 20, b"last")
    for chosen, expected in (("best", best), ("last", last), (last.id, last), (None, best)):
        model = {"from_job": job["id"], **({"checkpoint": chosen} if chosen else {})}
        warm = new_job(server.http, dataset, model=model)
        assert warm["initial_weights"] == {"job": job["id"], "checkpoint": expected.id}
        assert warm["model"] == job["model"]
    clone = server.http.post(f"/v1/jobs/{warm['id']}/clone", json={"training": {"epochs": 3}}).json()
    assert clone["initial_weights"] == warm["initial_weights"]
    clone = server.http.post(f"/v1/jobs/{warm['id']}/clone", json={"model": MODEL}).json()
    assert clone["initial_weights"] is None


def test_another_projects_objects_are_absent(server, dataset):
    job = new_job(server.http, dataset)
    row = claim(server.database, job["id"])
    checkpoint = publish(server.database, row, 1, b"weights")
    model = server.http.post("/v1/models", json={"model": MODEL}).json()["id"]
    jobs = f"/v1/jobs/{job['id']}"
    paths = [
        jobs,
        f"{jobs}/events",
        f"{jobs}/metrics",
        f"{jobs}/checkpoints",
        f"{jobs}/checkpoints/{checkpoint.id}",
        f"{jobs}/weights",
        f"/v1/models/{model}",
        f"/v1/models/{model}/graph",
        f"/v1/datasets/{dataset}",
        f"/v1/datasets/{dataset}/profile",
        f"/v1/datasets/{dataset}/preview",
    ]
    for path in paths:
        assert server.http.get(path).status_code == 200, path
        assert server.other.get(path).status_code == 404, path
    for verb in ("cancel", "pause", "resume", "retry", "clone"):
        assert server.other.post(f"{jobs}/{verb}", json={}).status_code == 404
    assert server.other.delete(f"/v1/datasets/{dataset}").status_code == 404
    stream = server.other.get(f"{jobs}/events", headers={"accept": "text/event-stream"})
    assert stream.status_code == 404
    theirs = ready_dataset(server.other, server.database)
    assert server.other.post("/v1/jobs", json=job_body(dataset)).status_code == 404
    assert server.other.post("/v1/jobs", json=job_body(theirs, model=model)).status_code == 404
    assert server.other.post("/v1/jobs", json=job_body(theirs, model={"from_job": job["id"]})).status_code == 404
    assert server.other.post("/v1/models/validate", json={"model": model}).status_code == 404
    assert server.other.get("/v1/jobs").json()["data"] == []


def test_a_job_that_cannot_fit_is_refused(server, dataset):
    response = server.http.post("/v1/jobs", json=job_body(dataset, resources={"memory_bytes": 1000}))
    assert (response.status_code, response.json()["code"]) == (422, "does_not_fit")
    assert response.json()["errors"][0]["pointer"] == "/resources/memory_bytes"


def test_the_server_has_a_limit_for_a_job_too(sqlite_database):
    with running(sqlite_database, job_memory_bytes=1000) as server:
        dataset = ready_dataset(server.http, server.database)
        response = server.http.post("/v1/jobs", json=job_body(dataset))
        assert (response.status_code, response.json()["code"]) == (422, "does_not_fit")
        assert response.json()["errors"][0]["pointer"] == "/model"


def test_a_project_queues_so_many_jobs_and_no_more(sqlite_database):
    with running(sqlite_database, project_queued_jobs=2) as server:
        dataset = ready_dataset(server.http, server.database)
        first, _ = (new_job(server.http, dataset) for _ in range(2))
        response = server.http.post("/v1/jobs", json=job_body(dataset))
        assert (response.status_code, response.json()["code"]) == (429, "quota_exceeded")
        server.http.post(f"/v1/jobs/{first['id']}/cancel")
        new_job(server.http, dataset)
        response = server.http.post(f"/v1/jobs/{first['id']}/retry")
        assert (response.status_code, response.json()["code"]) == (429, "quota_exceeded")
