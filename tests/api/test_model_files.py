"""Model files: posted with their weights, kept, and named by jobs that start from them."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from onnx import helper

import engine
from engine import formats
from engine.formats import Metadata
from engine.starting import shapes
from store.blobs import read_blob
from store.garbage import collect_blobs
from store.models import Blob, Model
from tests.api.conftest import running
from tests.api.work import MODEL, claim, job_body, new_job, publish, ready_dataset

LAYERS: Any = MODEL["layers"]
HEAD: dict[str, Any] = {**MODEL, "layers": [LAYERS[0], {"type": "Dense", "name": "head", "units": 2}]}
COMPILED = {"optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.125}},
            "loss": {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}}}


def tensors(definition: Any = MODEL) -> dict[str, np.ndarray]:
    """Weights of a definition that tell each other apart."""
    model = engine.definition.parse_model(definition)
    found = shapes(model).items()
    return {name: np.full(shape, place + 1, np.float32) for place, (name, shape) in enumerate(found)}


def file(folder: Path, format: str, definition: Any = MODEL) -> bytes:
    """A file with those weights; .keras carries its definition."""
    metadata = Metadata(definition=engine.definition.parse_model(definition).to_json(), preprocessing={},
                        engine_version="1")
    path = folder / f"model.{format}"
    formats.weights_format(format).write(path, tensors(definition), metadata)
    return path.read_bytes()


def bare(folder: Path, format: str) -> bytes:
    """A file of tensors alone."""
    if format == "npz":
        with io.BytesIO() as stream:
            np.savez(stream, **tensors())  # type: ignore[arg-type]
            return stream.getvalue()
    header = {name: {"dtype": "F32", "shape": list(tensor.shape)} for name, tensor in tensors().items()}
    data, at = b"", 0
    for name, tensor in tensors().items():
        data += tensor.tobytes()
        header[name]["data_offsets"] = [at, at := len(data)]
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def post(http, content: bytes, filename: str = "model.keras", *, headers: Any = None, **fields: Any):
    data = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    return http.post("/v1/models", files={"file": (filename, content)}, data=data, headers=headers or {})


def test_a_keras_file_is_a_model_with_weights(server, tmp_path):
    content = file(tmp_path, "keras")
    response = post(server.http, content, name="posted")
    assert response.status_code == 201, response.text
    model = response.json()
    assert response.headers["location"] == f"/v1/models/{model['id']}"
    assert model["weights"] == {"format": "keras", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert (model["name"], model["parameters"]["total"]) == ("posted", 42)
    assert server.http.get(f"/v1/models/{model['id']}").json() == model
    assert server.other.get(f"/v1/models/{model['id']}").status_code == 404
    with server.database.read() as session:
        blob = session.get(Model, model["id"]).weights_blob
    (tmp_path / "stored").write_bytes(b"".join(read_blob(server.database, blob)))
    stored = formats.read(tmp_path / "stored").tensors
    assert all(np.array_equal(stored[name], tensor) for name, tensor in tensors().items())


def test_a_definition_alone_has_no_weights(server):
    model = server.http.post("/v1/models", json={"model": MODEL}).json()
    assert model["weights"] is None


@pytest.mark.parametrize("format", ["safetensors", "npz"])
def test_weights_alone_need_a_definition(server, tmp_path, format):
    content = bare(tmp_path, format)
    refused = post(server.http, content, f"w.{format}")
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_weights")
    assert "a definition" in refused.json()["detail"]
    taken = post(server.http, content, f"w.{format}", definition=MODEL)
    assert taken.status_code == 201
    assert taken.json()["weights"]["format"] == format


def test_numbered_weights_find_their_variables(server, tmp_path):
    content = file(tmp_path, "h5")
    assert post(server.http, content, "m.weights.h5", definition=MODEL).json()["weights"]["format"] == "h5"


def test_an_onnx_file_is_a_model_with_weights(server, tmp_path):
    model = post(server.http, file(tmp_path, "onnx"), "m.onnx").json()
    assert (model["weights"]["format"], model["parameters"]["total"]) == ("onnx", 42)
    graph = helper.make_graph([helper.make_node("Tan", ["x"], ["y"], name="wave")], "g",
                              [helper.make_tensor_value_info("x", 1, ["batch", 4])],
                              [helper.make_tensor_value_info("y", 1, None)])
    problem = post(server.http, helper.make_model(graph).SerializeToString(), "m.onnx").json()
    assert (problem["status"], problem["code"]) == (422, "invalid_weights")
    assert "'Tan' (node 'wave'); there are Add, AveragePool" in problem["detail"]


def test_what_does_not_fit_is_listed(server, tmp_path):
    wider = {**HEAD, "layers": [{**LAYERS[0], "units": 9}, HEAD["layers"][1]]}
    response = post(server.http, bare(tmp_path, "npz"), "w.npz", definition=wider)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "invalid_weights")
    assert problem["errors"][0]["parameter"] == "file"
    for part in ("missing tensors: head/kernel (9, 2)", "tensors the model does not have: 'dense_1/kernel' (8, 2)",
                 "dense/kernel: expected (2, 9), received (2, 8)"):
        assert part in problem["detail"]


@pytest.mark.parametrize(("content", "said"), [
    (b"\x80\x04pickle", "a pickle"), (b"PK\x03\x04 no zip", "expected"), (b"", "an empty one"),
    (b"\x89HDF\r\n\x1a\n cut", "damaged"), (b"{}", "expected a weights file")])
def test_what_is_no_model_file_is_refused(server, content, said):
    response = post(server.http, content, "m", definition=MODEL)
    assert response.status_code == 422
    assert said in response.json()["detail"]


def test_faults_of_a_definition_have_pointers(server, tmp_path):
    broken = {**MODEL, "layers": [{"type": "Dense", "units": 0}]}
    problem = post(server.http, bare(tmp_path, "npz"), "w.npz", definition=broken).json()
    assert [error["pointer"] for error in problem["errors"]] == ["/definition/layers/0/units"]
    problem = post(server.http, bare(tmp_path, "npz"), "w.npz", definition='{"a": NaN}').json()
    assert problem["errors"][0]["pointer"] == "/definition/a"


def test_a_layer_of_code_inside_the_file_is_refused(server, tmp_path):
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": [
        {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 2], "name": "x"}},
        {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "evil", "function": "os.system"}}]}}
    hostile = io.BytesIO()
    h5py.File(tmp_path / "empty.h5", "w").close()
    with zipfile.ZipFile(hostile, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps(config))
        archive.write(tmp_path / "empty.h5", "model.weights.h5")
    problem = post(server.http, hostile.getvalue()).json()
    assert problem["status"] == 422
    assert problem["errors"][0]["pointer"].startswith("/file/config/layers/1")


def test_not_a_number_is_no_weight(server, tmp_path):
    bad = {**tensors(), "dense/bias": np.full(8, np.nan, np.float32)}
    stream = io.BytesIO()
    np.savez(stream, **bad)  # type: ignore[arg-type]
    problem = post(server.http, stream.getvalue(), "w.npz", definition=MODEL).json()
    assert "dense/bias: expected finite numbers" in problem["detail"]


def test_the_same_post_again_answers_alike(server, tmp_path):
    content, headers = file(tmp_path, "keras"), {"idempotency-key": "posted once"}
    first, second = (post(server.http, content, headers=headers) for _ in range(2))
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    other = post(server.http, file(tmp_path, "keras", HEAD), headers=headers)
    assert other.status_code == 422


def test_sizes_have_limits(sqlite_database, tmp_path):
    content = file(tmp_path, "keras")
    with running(sqlite_database, model_bytes=1000) as server:
        assert post(server.http, content).json()["code"] == "body_too_large"
    with running(sqlite_database, project_bytes=2 * len(content)) as server:
        codes = [post(server.http, content, name=str(n)).status_code for n in range(40)]
        assert (codes[0], codes[-1]) == (201, 429)
        with server.database.read() as session:
            assert session.query(Blob).count() == 1
        assert post(server.other, content).status_code == 201


def test_a_job_starts_from_the_weights_and_so_does_its_clone(server, tmp_path):
    dataset = ready_dataset(server.http, server.database)
    model = post(server.http, file(tmp_path, "keras")).json()["id"]
    job = new_job(server.http, dataset, model=model)
    assert (job["model_id"], job["initial_weights"]) == (model, {"model": model})
    clone = server.http.post(f"/v1/jobs/{job['id']}/clone", json={"name": "again"}).json()
    assert clone["initial_weights"] == {"model": model}


def test_a_new_head_takes_what_fits(server, tmp_path):
    dataset = ready_dataset(server.http, server.database)
    model = post(server.http, file(tmp_path, "keras")).json()["id"]
    body = {"from_model": model, "definition": HEAD}
    problem = server.http.post("/v1/jobs", json=job_body(dataset, model=body)).json()
    assert problem["code"] == "invalid_weights"
    assert problem["errors"][0]["pointer"] == "/model/definition"
    assert "missing tensors: head/kernel (8, 2)" in problem["detail"]
    job = new_job(server.http, dataset, model={**body, "weights": "matching"})
    assert job["initial_weights"] == {"model": model, "weights": "matching"}
    assert job["model"]["layers"][1]["name"] == "head"
    trained = new_job(server.http, dataset)
    checkpoint = publish(server.database, claim(server.database, trained["id"]), 1, b"weights")
    start = {"from_job": trained["id"], "definition": HEAD, "weights": "matching"}
    job = new_job(server.http, dataset, model=start)
    assert job["initial_weights"] == {"job": trained["id"], "checkpoint": checkpoint.id, "weights": "matching"}


@pytest.mark.parametrize(("model", "pointer"), [
    ({"weights": "some"}, "/model/weights"), ({"definition": 1}, "/model/definition"),
    ({"checkpoint": "best"}, "/model/checkpoint"), ({"from_model": "mdl_nothing"}, "/model/from_model"),
    ({"definition": {"inputs": {"features": {"shape": [2]}}, "layers": [{"type": "Dense", "units": 2, "name": "new"}]},
      "weights": "matching"}, "/model/definition")])
def test_bad_starts_have_pointers(server, tmp_path, model, pointer):
    dataset = ready_dataset(server.http, server.database)
    posted = post(server.http, file(tmp_path, "keras")).json()["id"]
    problem = server.http.post("/v1/jobs", json=job_body(dataset, model={"from_model": posted, **model})).json()
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_a_definition_alone_is_nothing_to_start_from(server):
    dataset = ready_dataset(server.http, server.database)
    model = server.http.post("/v1/models", json={"model": MODEL}).json()["id"]
    problem = server.http.post("/v1/jobs", json=job_body(dataset, model={"from_model": model})).json()
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("no_weights", "/model/from_model")


def test_what_a_model_was_compiled_with_is_used_by_jobs_that_say_nothing(server, tmp_path):
    dataset = ready_dataset(server.http, server.database)
    model = post(server.http, bare(tmp_path, "npz"), "w.npz", definition={**MODEL, "compile_config": COMPILED}).json()
    job = new_job(server.http, dataset, model=model["id"], training={"epochs": 1})
    assert job["training"]["optimizer"]["learning_rate"] == 0.125


def test_a_clone_starts_where_its_job_did(server, tmp_path):
    """A job of a posted model that started from another job's checkpoint is cloned with that checkpoint."""
    dataset = ready_dataset(server.http, server.database)
    model = post(server.http, file(tmp_path, "keras")).json()["id"]
    trained = new_job(server.http, dataset, model=model)
    checkpoint = publish(server.database, claim(server.database, trained["id"]), 1, b"weights")
    job = new_job(server.http, dataset, model={"from_job": trained["id"]})
    assert job["initial_weights"] == {"job": trained["id"], "checkpoint": checkpoint.id}
    clone = server.http.post(f"/v1/jobs/{job['id']}/clone", json={"name": "again"}).json()
    assert (clone["model_id"], clone["initial_weights"]) == (model, job["initial_weights"])
    other = server.http.post(f"/v1/jobs/{job['id']}/clone", json={"model": model}).json()
    assert other["initial_weights"] == {"model": model}


def test_posted_weights_are_kept_as_long_as_their_model(server, tmp_path):
    model = post(server.http, file(tmp_path, "keras", HEAD)).json()["id"]
    collect_blobs(server.database, -60.0)
    with server.database.read() as session:
        blob = session.get(Model, model).weights_blob
    assert b"".join(read_blob(server.database, blob))
