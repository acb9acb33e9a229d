"""What users should not send: each is a 4xx problem that says where, none a 500, a hang or an echo."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.api.work import CSV, MODEL, job_body, new_job, ready_dataset

JSON = {"content-type": "application/json"}
ABSENT = "0" * 32


@dataclass(frozen=True)
class Things:
    """Ids of objects that exist."""

    dataset: str
    job: str
    model: str


@dataclass(frozen=True)
class Case:
    """A request, and what the answer must hold: a status, and a pointer, parameter or code."""

    name: str
    send: Callable[[httpx.Client, Things], httpx.Response]
    status: int
    where: str


def job(name: str, where: str, status: int = 422, /, **changes: Any) -> Case:
    """A job with something wrong in it."""
    return Case(
        name, lambda http, things: http.post("/v1/jobs", json=job_body(things.dataset, **changes)), status, where
    )


def raw_job(name: str, where: str, old: str, new: str, status: int = 422) -> Case:
    """A job's JSON text in which `old` is replaced: for what no JSON writer writes."""

    def send(http: httpx.Client, things: Things) -> httpx.Response:
        text = json.dumps(job_body(things.dataset))
        assert old in text
        return http.post("/v1/jobs", content=text.replace(old, new, 1).encode("utf-8", "surrogatepass"), headers=JSON)

    return Case(name, send, status, where)


def training(name: str, where: str, /, **changes: Any) -> Case:
    """A job whose training block is wrong."""

    def send(http: httpx.Client, things: Things) -> httpx.Response:
        body = job_body(things.dataset)
        body["training"] |= changes
        return http.post("/v1/jobs", json=body)

    return Case(name, send, 422, f"/training{where}")


def model(
    name: str, where: str, *layers: Any, status: int = 422, path: str = "/v1/models/validate", **more: Any
) -> Case:
    """A definition with these layers after the usual input."""
    document = {"inputs": MODEL["inputs"], "layers": list(layers), **more}
    return Case(name, lambda http, things: http.post(path, json={"model": document}), status, where)


def body(name: str, path: str, content: Any, where: str, status: int = 422) -> Case:
    """Something else than a body that the path takes."""

    def send(http: httpx.Client, things: Things) -> httpx.Response:
        at = path.format(**things.__dict__)
        if isinstance(content, bytes):
            return http.post(at, content=content, headers=JSON)
        return http.post(at, json=content)

    return Case(name, send, status, where)


def get(name: str, path: str, where: str, status: int = 422) -> Case:
    """A bad address or query."""
    return Case(name, lambda http, things: http.get(path.format(**things.__dict__)), status, where)


def form(name: str, where: str, status: int = 422, /, *, content: bytes = CSV.encode(), **fields: str) -> Case:
    """A bad upload."""
    return Case(
        name,
        lambda http, things: http.post("/v1/datasets", files={"file": ("x.csv", content)}, data=fields),
        status,
        where,
    )


DENSE = {"type": "Dense", "units": 2}
DEEP = b'{"model": ' + b'{"layers": [' * 10_000 + b"]}" * 10_000 + b"}"

CASES = [
    # JSON as such
    body("10,000-deep JSON", "/v1/models", DEEP, "invalid_json"),
    body("not JSON", "/v1/jobs", b"model: Dense", "invalid_json", 400),
    body("an empty body", "/v1/jobs", b"", ""),
    body("not UTF-8", "/v1/jobs", b'{"name": "\xff"}', "invalid_json", 400),
    body("a list", "/v1/jobs", [1, 2, 3], ""),
    body("null", "/v1/models", None, ""),
    body("a string", "/v1/models/validate", "Dense", ""),
    raw_job("a learning rate of NaN", "/training/optimizer/learning_rate", "0.01", "NaN"),
    raw_job("a learning rate of Infinity", "/training/optimizer/learning_rate", "0.01", "Infinity"),
    raw_job("a learning rate of 1e400", "/training/optimizer/learning_rate", "0.01", "1e400"),
    raw_job("a 5,000-digit integer", "/training/epochs", '"epochs": 2', '"epochs": ' + "9" * 5000),
    raw_job("a 5,000-digit fraction", "/training/optimizer/learning_rate", "0.01", "0." + "1" * 5000),
    raw_job("a duplicate key", "/training/epochs", '"epochs": 2', '"epochs": 2, "epochs": 3'),
    raw_job("a NUL in a name", "/name", '"shapes"', '"a\\u0000b"'),
    raw_job("half a surrogate pair", "/name", '"shapes"', '"\\ud800"'),
    # A job's own fields
    job("an unknown field", "/epochs", epochs=3),
    job("a control character in a name", "/name", name="a\x1bb"),
    job("an empty name", "/name", name=""),
    job("a name of a megabyte", "/name", name="a" * 1_000_000),
    job("a name that is a number", "/name", name=7),
    job("seventeen pairs of metadata", "/metadata", metadata={str(n): "x" for n in range(17)}),
    job("metadata that is no text", "/metadata/a", metadata={"a": 1}),
    job("metadata that is a list", "/metadata", metadata=["a"]),
    job("a control character in metadata", "/metadata/a", metadata={"a": "\n"}),
    job("a data set that is a number", "/dataset", dataset=7),
    job("a data set that is a path", "/dataset", 404, dataset="../../etc/passwd"),
    job("a data set that is not there", "/dataset", 404, dataset="ds_" + ABSENT),
    job("a model that is not there", "/model", 404, model="mdl_" + ABSENT),
    job("a model that is a module path", "/model", 404, model="os.system"),
    job("a model that is a list", "/model", model=[DENSE]),
    job("a model that is null", "/model", model=None),
    job("a warm start from nowhere", "/model/from_job", 404, model={"from_job": "job_" + ABSENT}),
    job("a warm start from a number", "/model/from_job", model={"from_job": 1}),
    Case(
        "a warm start from a checkpoint that is not there",
        lambda http, things: http.post(
            "/v1/jobs",
            json=job_body(things.dataset, model={"from_job": things.job, "checkpoint": "ckpt_" + ABSENT}),
        ),
        404,
        "/model/checkpoint",
    ),
    job("a warm start with more", "/model/weights", model={"from_job": "job_" + ABSENT, "weights": "x"}),
    job("training that is a list", "/training", training=[]),
    job("an unknown block in data", "/data/feature", data={"feature": ["height"]}),
    job("a column that is not there", "/data/features/0", data={"features": ["weight"], "target": "label"}),
    job("an unknown setting of checkpoints", "/checkpoints/every", checkpoints={"every": 1}),
    job("a monitor that nobody computes", "/checkpoints/monitor", checkpoints={"monitor": "val_nothing"}),
    job("memory below nothing", "/resources/memory_bytes", resources={"memory_bytes": -1}),
    job("more memory than numbers", "/resources/memory_bytes", resources={"memory_bytes": 2**62 * 1.5}),
    job("threads that are true", "/resources/threads", resources={"threads": True}),
    # Training
    training("a batch of 0", "/batch_size", batch_size=0),
    training("a batch of -1", "/batch_size", batch_size=-1),
    training("a batch of true", "/batch_size", batch_size=True),
    training("a batch of text", "/batch_size", batch_size="32"),
    training("10^9 epochs", "/epochs", epochs=10**9),
    training("an unknown optimizer", "/optimizer/type", optimizer={"type": "Adan"}),
    training("an unknown option", "/optimizer/learning_rte", optimizer={"type": "Adam", "learning_rte": 0.1}),
    training("a negative learning rate", "/optimizer/learning_rate", optimizer={"type": "Adam", "learning_rate": -1}),
    training("an unknown loss", "/loss/type", loss={"type": "os.system"}),
    training("an unknown metric", "/metrics/0", metrics=["acuracy"]),
    training("callbacks that are an object", "/callbacks", callbacks={"type": "EarlyStopping"}),
    training("a seed of text", "/seed", seed="x"),
    # Definitions
    model("a Lambda", "/model/layers/0/type", {"type": "Lambda", "function": "eval"}),
    model("a module path", "/model/layers/0/type", {"type": "os.system"}),
    model("a layer without a type", "/model/layers/0/type", {"units": 3}),
    model("a layer that is a number", "/model/layers/0", 7),
    model("no layers", "/model/layers"),
    model("units below one", "/model/layers/0/units", {"type": "Dense", "units": 0}),
    model("units that are true", "/model/layers/0/units", {"type": "Dense", "units": True}),
    model("an unknown option of a layer", "/model/layers/0/unitz", {"type": "Dense", "units": 1, "unitz": 1}),
    model("a control character in a layer's name", "/model/layers/0/name", {**DENSE, "name": "a\tb"}),
    model("a path in a layer's name", "/model/layers/0/name", {**DENSE, "name": "../../x"}),
    model("a name twice", "/model/layers/1/name", {**DENSE, "name": "a"}, {**DENSE, "name": "a"}),
    model("a dangling input", "/model/layers/0/inputs/0", {**DENSE, "inputs": ["nowhere"]}),
    model(
        "a cycle",
        "/model/layers/0/inputs",
        {**DENSE, "name": "a", "inputs": ["b"]},
        {**DENSE, "name": "b", "inputs": ["a"]},
    ),
    model("a picture's layer on a table", "/model/layers/0", {"type": "Conv2D", "filters": 1, "kernel_size": 3}),
    model("100,000 layers", "/model/layers", *[DENSE] * 100_000),
    model("a field beside the layers", "/model/layer", DENSE, layer=[]),
    body(
        "an input of negative size",
        "/v1/models/validate",
        {"model": {"inputs": {"x": {"shape": [-1]}}, "layers": [DENSE]}},
        "/model/inputs/x/shape/0",
    ),
    body(
        "an input of 2^60",
        "/v1/models/validate",
        {"model": {"inputs": {"x": {"shape": [2**60]}}, "layers": [DENSE]}},
        "/model/inputs/x/shape/0",
    ),
    body("a batch of 0 to validate", "/v1/models/validate", {"model": MODEL, "batch_size": 0}, "/batch_size"),
    body("a batch of text to validate", "/v1/models/validate", {"model": MODEL, "batch_size": "32"}, "/batch_size"),
    body(
        "a Keras Lambda",
        "/v1/models",
        {
            "model": {
                "class_name": "Sequential",
                "config": {
                    "name": "s",
                    "layers": [
                        {"class_name": "InputLayer", "config": {"batch_shape": [None, 2], "name": "i"}},
                        {"class_name": "Lambda", "config": {"function": "x"}},
                    ],
                },
            }
        },
        "/model/config/layers/1/class_name",
    ),
    body("an unknown field of a model", "/v1/models", {"model": MODEL, "nmae": "x"}, "/nmae"),
    body("a model by id to store", "/v1/models", {"model": "mdl_" + ABSENT}, "/model"),
    # Clones
    body("a clone with an unknown field", "/v1/jobs/{job}/clone", {"epochs": 3}, "/epochs"),
    body("a clone that removes the data set", "/v1/jobs/{job}/clone", {"dataset": "ds_x"}, "/dataset", 404),
    body(
        "a clone that breaks the training",
        "/v1/jobs/{job}/clone",
        {"training": {"batch_size": 0}},
        "/training/batch_size",
    ),
    body("a clone with too much metadata", "/v1/jobs/{job}/clone", {"metadata": {"a": 1}}, "/metadata/a"),
    body("a verb with a field", "/v1/jobs/{job}/cancel", {"force": True}, ""),
    body("a verb with something else", "/v1/jobs/{job}/pause", b"now", "invalid_json", 400),
    # Addresses and queries
    get("a forged id", "/v1/jobs/job_1%27%20OR%201=1", "not_found", 404),
    get("a NUL in an id", "/v1/jobs/job_%00", "not_found", 404),
    get("an id of another kind", "/v1/jobs/{dataset}", "not_found", 404),
    get("an id of a megabyte", "/v1/models/mdl_" + "a" * 10_000, "not_found", 404),
    get("dots for an id", "/v1/datasets/%2e%2e%2f%2e%2e", "not_found", 404),
    get("a checkpoint of another kind", "/v1/jobs/{job}/checkpoints/{job}", "not_found", 404),
    get("limit=-1", "/v1/jobs?limit=-1", "limit"),
    get("limit=0", "/v1/datasets?limit=0", "limit"),
    get("limit=101", "/v1/models?limit=101", "limit"),
    get("limit of 5,000 digits", "/v1/jobs?limit=" + "9" * 5000, "limit"),
    get("limit=x", "/v1/jobs/{job}/checkpoints?limit=x", "limit"),
    get("an unknown order", "/v1/jobs?order=random", "order"),
    get("a forged cursor", "/v1/jobs?after=job_%27--", "after"),
    get("a cursor of another kind", "/v1/jobs?after={dataset}", "after"),
    get("a NUL in a cursor", "/v1/models?after=mdl_%00", "after"),
    get("an unknown status", "/v1/jobs?status=done", "status"),
    get("an unknown parameter", "/v1/jobs?limt=5", "limt"),
    get("a parameter where there is none", "/v1/jobs/{job}?verbose=1", "verbose"),
    get("a NUL in a metadata filter", "/v1/jobs?metadata[a]=%00", "metadata[a]"),
    get("a metadata filter without a key", "/v1/jobs?metadata[]=x", "metadata[]"),
    get("too many metadata filters", "/v1/jobs?" + "&".join(f"metadata[{n}]=x" for n in range(17)), "metadata"),
    get("an unknown stage", "/v1/models/{model}/graph?stage=backward", "stage"),
    get("a batch of 0 for a graph", "/v1/models/{model}/graph?batch_size=0", "batch_size"),
    get("no points", "/v1/jobs/{job}/metrics?max_points=0", "max_points"),
    get("a NUL in a metric's name", "/v1/jobs/{job}/metrics?names=%00", "names"),
    get("a thousand metrics", "/v1/jobs/{job}/metrics?names=" + ",".join(map(str, range(1000))), "names"),
    get("an unknown weights format", "/v1/jobs/{job}/weights?format=pkl", "format"),
    get("a forged checkpoint", "/v1/jobs/{job}/weights?checkpoint=newest", "checkpoint"),
    get("a checkpoint that is not there", "/v1/jobs/{job}/weights?checkpoint=ckpt_" + ABSENT, "checkpoint", 404),
    get("a preview of -1", "/v1/datasets/{dataset}/preview?limit=-1", "limit"),
    # Uploads
    form("an unknown data format", "format", format="parquet"),
    form("an unknown option of a format", "/options/delimeter", format="csv", options='{"delimeter": ";"}'),
    form("an unknown option, the format found out", "/options/targt", options='{"targt": "label"}'),
    form("a smuggled type, the format found out", "/options/type", options='{"type": "npz"}'),
    form("options that are no JSON", "/options", 400, options="{"),
    form("options that are a list", "/options", options="[]"),
    form("an option that is NaN", "/options/a", options='{"a": NaN}'),
    form("a smuggled type", "/options/type", format="csv", options='{"type": "npz"}'),
    form("a NUL in a data set's name", "name", name="a\x00b"),
    form("an empty name of a data set", "name", name=""),
    form("an empty file", "file", content=b""),
    form("an unknown part", "nmae", nmae="x"),
    form("a form part of a megabyte", "name", 413, name="a" * 1_000_000),
    Case("no form", lambda http, things: http.post("/v1/datasets", json={"file": "x"}), 415, "content-type"),
    Case("no file", lambda http, things: http.post("/v1/datasets", files={"name": (None, "x")}), 422, "file"),
    Case(
        "a file as text",
        lambda http, things: http.post("/v1/models", json={"model": MODEL}, headers={"content-type": "text/plain"}),
        415,
        "content-type",
    ),
]


@pytest.fixture(scope="module")
def things(server):
    dataset = ready_dataset(server.http, server.database)
    job = new_job(server.http, dataset, checkpoints={"monitor": "val_loss"})["id"]
    return Things(dataset, job, server.http.post("/v1/models", json={"model": MODEL}).json()["id"])


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_is_refused_and_says_where(server, things, case):
    response = case.send(server.http, things)
    assert response.status_code == case.status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    places = {error.get("pointer", error.get("parameter")) for error in problem.get("errors", [])}
    assert case.where in places | {problem["code"]}, problem
    assert len(response.content) < 20_000, "a problem is short, whatever was sent"


def test_there_are_enough_cases_and_each_is_another_one():
    assert len({case.name for case in CASES}) == len(CASES) >= 45


def test_a_layer_of_a_billion_units_does_not_fit(server, things):
    wide = {**MODEL, "layers": [{"type": "Dense", "units": 10**9}, *MODEL["layers"]]}
    response = server.http.post("/v1/jobs", json=job_body(things.dataset, model=wide))
    assert response.status_code == 422
    assert any(error["pointer"].startswith("/model") for error in response.json()["errors"])


def test_details_say_what_and_where(server, things):
    def detail(response: httpx.Response) -> str:
        return response.json()["detail"]

    files = {"file": ("x.csv", CSV)}
    options = server.http.post("/v1/datasets", files=files, data={"options": "{target: label}"})
    assert detail(options).startswith("expected JSON in the part options, received a fault of syntax at line 1")
    nan = server.http.post("/v1/jobs", content=b'{"model": NaN}', headers=JSON)
    assert detail(nan) == "expected a finite number, received NaN at /model"
    assert detail(server.http.post("/v1/jobs", json=[])) == "expected an object, received a list of 0 entries"
    empty = server.http.post("/v1/jobs", json=job_body(things.dataset, data={"features": [], "target": "label"}))
    assert "received an empty list" in empty.text


def test_all_faults_come_together_with_hints(server, things):
    body = job_body(things.dataset)
    body["training"] |= {"batch_size": 0, "optimizer": {"type": "Adm"}}
    errors = {error["pointer"]: error["detail"] for error in server.http.post("/v1/jobs", json=body).json()["errors"]}
    assert errors.keys() == {"/training/batch_size", "/training/optimizer/type"}
    assert "did you mean 'Adam'?" in errors["/training/optimizer/type"]
    unknown = server.http.post("/v1/jobs", json=job_body(things.dataset, metdata={})).json()["errors"]
    assert "did you mean 'metadata'?" in unknown[0]["detail"]
    unknown = server.http.get("/v1/jobs?staus=failed").json()["errors"]
    assert "did you mean 'status'?" in unknown[0]["detail"]
