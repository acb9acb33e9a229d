"""The API's description of itself, its health, and how lightly it loads."""

from __future__ import annotations

import subprocess
import sys
import time

import httpx
import pytest

from store.repositories import WorkerRepository
from tests.api.conftest import running

IMPORT = """
import sys
for name in ("llvmlite", "celery", "kombu", "worker"):
    sys.modules[name] = None  # importing it raises ImportError
import api.app
from pathlib import Path
from store.settings import Settings
app = api.app.create_app(Settings(data_dir=Path(sys.argv[1])))
assert app.openapi()["paths"]
from api.routes.catalogue import read_catalogue
assert read_catalogue()["layers"]
loaded = [name for name, module in sys.modules.items() if module and name.partition(".")[0] == "llvmlite"]
assert not loaded, loaded
"""


def test_the_api_loads_neither_llvmlite_nor_celery(tmp_path):
    done = subprocess.run([sys.executable, "-c", IMPORT, tmp_path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_every_operation_is_described_once(server):
    document = server.http.get("/openapi.json").json()
    operations = [
        (path, verb, operation) for path, verbs in document["paths"].items() for verb, operation in verbs.items()
    ]
    assert len(operations) >= 24
    assert len({operation["operationId"] for _, _, operation in operations}) == len(operations)
    for path, verb, operation in operations:
        assert operation.get("description"), (verb, path)
        assert operation["tags"]
    assert "/v1/jobs/{job_id}/evaluations" not in document["paths"]
    create = document["paths"]["/v1/jobs"]["post"]
    assert {parameter["name"] for parameter in create["parameters"]} == {"idempotency-key"}
    assert create["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/JobCreate")
    body = document["components"]["schemas"]["JobCreate"]
    assert body["additionalProperties"] is False
    assert set(body["required"]) == {"model", "dataset"}
    assert "multipart/form-data" in document["paths"]["/v1/datasets"]["post"]["requestBody"]["content"]


def test_the_description_names_problems_and_keys(server):
    document = server.http.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["key"] == {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "sk_…",
    }
    create = document["paths"]["/v1/jobs"]["post"]["responses"]
    problem = create["default"]["content"]["application/problem+json"]["schema"]
    assert problem["$ref"].endswith("/ProblemAnswer")
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert document["paths"]["/healthz"]["get"]["security"] == []


def test_the_catalogue_lists_what_there_is(server):
    catalogue = server.http.get("/v1/catalogue").json()
    assert {"layers", "losses", "metrics", "optimizers", "schedules", "transforms", "formats"} <= catalogue.keys()
    assert catalogue["layers"]["Dense"]["options"]["units"]["minimum"] == 1
    assert catalogue["optimizers"]["Adam"]["options"]["beta_1"]["default"] == 0.9


def test_ready_only_when_everything_can_be_reached(sqlite_database):
    from tests.api.broker import broker

    with broker() as broker_url, running(sqlite_database, broker_url=broker_url) as server:
        answer = httpx.get(server.url + "/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"] == {"database": "ok", "worker": "unreachable", "broker": "ok"}
        with server.database.write() as session:
            for queue in ("training", "ingest"):
                WorkerRepository(session).beat(f"{queue}@test", queue, 1)
        time.sleep(0.25)
        answer = httpx.get(server.url + "/readyz")
        assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    with running(sqlite_database, broker_url="redis+socket:///nowhere/broker.sock") as server:
        checks = httpx.get(server.url + "/readyz").json()["checks"]
        assert checks == {"database": "ok", "worker": "ok", "broker": "unreachable"}


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "redis+socket:///nowhere"])
def test_a_broker_that_is_away_does_not_hold_readiness_up(sqlite_database, url):
    with running(sqlite_database, broker_url=url) as server:
        began = time.monotonic()
        assert httpx.get(server.url + "/readyz").status_code == 503
        assert time.monotonic() - began < 3


def test_readiness_is_looked_up_a_few_times_a_second_however_often_it_is_asked(sqlite_server, monkeypatch):
    health = sqlite_server.app.state.service.health
    looked = []
    check = health._check_database

    def count():
        looked.append(1)
        return check()

    monkeypatch.setattr(health, "_check_database", count)
    began = time.monotonic()
    for _ in range(100):
        sqlite_server.http.get("/readyz")
    assert len(looked) <= 1 + (time.monotonic() - began) / 0.2
