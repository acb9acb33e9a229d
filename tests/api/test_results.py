"""What a job leaves: metrics, checkpoints, weights."""

from __future__ import annotations

import hashlib
import io
import json

import numpy as np
import pytest

from engine.formats import Metadata, weights_format
from store.repositories.metrics import MetricPoint
from store.repositories.running_jobs import RunningJobRepository
from tests.api.work import claim, finish, new_job, publish, ready_dataset

KERNEL = np.arange(2_000_000, dtype=np.float32).reshape(500_000, 4)


def weights(step, folder):
    path = folder / f"{step}.safetensors"
    definition = {"inputs": {"x": {"shape": [KERNEL.shape[0]]}}, "layers": [{"type": "Dense", "units": 4}]}
    metadata = Metadata(definition=definition, preprocessing={}, classes=("even", "odd"), engine_version="1")
    tensors = {"dense/kernel": KERNEL * step, "dense/bias": np.zeros(4, np.float32)}
    weights_format("safetensors").write(path, tensors, metadata)
    return path.read_bytes()


@pytest.fixture(scope="module")
def dataset(server):
    return ready_dataset(server.http, server.database)


@pytest.fixture(scope="module")
def trained(server, dataset, tmp_path_factory):
    """A job with three checkpoints, the second of them the best; (job, checkpoints, files)."""
    job = new_job(server.http, dataset, checkpoints={"monitor": "val_loss"})
    row = claim(server.database, job["id"])
    files = [weights(step, tmp_path_factory.mktemp("weights")) for step in (1, 2, 3)]
    rows = [publish(server.database, row, step, files[step - 1], best=step == 2) for step in (1, 2, 3)]
    finish(server.database, row, "succeeded")
    return job, rows, files


def test_weights_before_the_first_checkpoint(server, dataset):
    job = new_job(server.http, dataset)
    response = server.http.get(f"/v1/jobs/{job['id']}/weights")
    assert (response.status_code, response.json()["code"]) == (409, "no_checkpoint")


def test_checkpoints_are_listed_with_their_kinds(server, trained):
    job, rows, files = trained
    page = server.http.get(f"/v1/jobs/{job['id']}/checkpoints").json()
    assert [item["id"] for item in page["data"]] == [row.id for row in reversed(rows)]
    assert [item["kind"] for item in page["data"]] == ["last", "best", "periodic"]
    one = server.http.get(f"/v1/jobs/{job['id']}/checkpoints/{rows[1].id}").json()
    assert one == page["data"][1]
    assert (one["bytes"], one["sha256"]) == (len(files[1]), hashlib.sha256(files[1]).hexdigest())
    assert one["metrics"] == {"loss": 0.5}


@pytest.mark.parametrize(("checkpoint", "index"), [(None, 1), ("best", 1), ("last", 2), (0, 0)])
def test_the_chosen_weights_come_whole(server, trained, checkpoint, index):
    job, rows, files = trained
    chosen = rows[checkpoint].id if isinstance(checkpoint, int) else checkpoint
    response = server.http.get(f"/v1/jobs/{job['id']}/weights", params={"checkpoint": chosen} if chosen else {})
    assert response.status_code == 200
    assert response.content == files[index]
    assert response.headers["etag"] == f'"{hashlib.sha256(files[index]).hexdigest()}"'
    assert response.headers["content-disposition"] == f'attachment; filename="{job["id"]}-step-{index + 1}.safetensors"'
    assert int(response.headers["content-length"]) == len(files[index])


RANGES = [
    ("bytes=0-0", 0, 1),
    ("bytes=0-1023", 0, 1024),
    ("bytes=2097150-2097155", 2_097_150, 2_097_156),
    ("bytes=5000000-", 5_000_000, None),
    ("bytes=-100", -100, None),
    ("bytes=100-999999999999", 100, None),
]


@pytest.mark.parametrize(("asked", "start", "stop"), RANGES)
def test_a_range_is_a_part_of_the_file(server, trained, asked, start, stop):
    job, _, files = trained
    response = server.http.get(f"/v1/jobs/{job['id']}/weights", headers={"range": asked})
    assert response.status_code == 206
    expected = files[1][start:stop]
    assert response.content == expected
    first = start % len(files[1])
    assert response.headers["content-range"] == f"bytes {first}-{first + len(expected) - 1}/{len(files[1])}"


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=999999999-",
        "bytes=10-5",
        "bytes=-0",
        "bytes=-",
        "bytes=a-b",
        "bytes=0-1,2-3",
        "bytes=" + "0-,",
        "bytes=0-1" * 1000,
        "bytes=" + "9" * 400 + "-",
        "bytes=--1",
        "bytes=0x10-",
    ],
)
def test_other_ranges_are_refused(server, trained, asked):
    job, _, files = trained
    response = server.http.get(f"/v1/jobs/{job['id']}/weights", headers={"range": asked})
    assert (response.status_code, response.json()["code"]) == (416, "range_not_satisfiable")
    assert response.headers["content-range"] == f"bytes */{len(files[1])}"


def test_conditions(server, trained):
    job, _, files = trained
    path = f"/v1/jobs/{job['id']}/weights"
    etag = server.http.head(path).headers["etag"]
    for condition in (etag, f'"x", {etag}', f"W/{etag}", "*"):
        response = server.http.get(path, headers={"if-none-match": condition})
        assert (response.status_code, response.content) == (304, b"")
    assert server.http.get(path, headers={"if-none-match": '"other"'}).status_code == 200
    assert server.http.get(path, headers={"range": "bytes=0-9", "if-range": etag}).status_code == 206
    whole = server.http.get(path, headers={"range": "bytes=0-9", "if-range": '"other"'})
    assert (whole.status_code, len(whole.content)) == (200, len(files[1]))
    assert server.http.get(path, headers={"range": "lines=0-9"}).status_code == 200


def test_head_tells_the_size_without_the_bytes(server, trained):
    job, _, files = trained
    response = server.http.head(f"/v1/jobs/{job['id']}/weights")
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["content-length"]) == len(files[1])


def test_npz_holds_the_same_arrays_and_is_the_same_every_time(server, trained):
    job, _, _ = trained
    path = f"/v1/jobs/{job['id']}/weights?format=npz"
    response = server.http.get(path)
    assert response.status_code == 200
    assert response.headers["etag"] == f'"{hashlib.sha256(response.content).hexdigest()}"'
    with np.load(io.BytesIO(response.content)) as arrays:
        np.testing.assert_array_equal(arrays["dense/kernel"], KERNEL * 2)
    part = server.http.get(path, headers={"range": "bytes=1000-1999", "if-range": response.headers["etag"]})
    assert part.content == response.content[1000:2000]


@pytest.mark.parametrize("name", ["tensorflow", "pickle", "../safetensors", "x" * 300])
def test_an_unknown_format_is_refused_with_those_there_are(server, trained, name):
    job, _, _ = trained
    response = server.http.get(f"/v1/jobs/{job['id']}/weights", params={"format": name})
    assert (response.status_code, response.json()["code"]) == (422, "unknown_format")
    assert "safetensors, npz, keras, h5, onnx" in response.json()["detail"]


@pytest.mark.parametrize(("parameters", "ending", "start"), [
    ({"format": "keras"}, ".keras", b"PK"), ({"format": "h5"}, ".weights.h5", b"\x89HDF"),
    ({"format": "onnx"}, ".onnx", b""), ({"layout": "torch"}, ".safetensors", b"")])
def test_other_tools_files(server, trained, parameters, ending, start):
    job, _, _ = trained
    response = server.http.get(f"/v1/jobs/{job['id']}/weights", params=parameters)
    assert response.status_code == 200, response.text
    assert response.headers["content-disposition"].endswith(f'{ending}"')
    assert response.content.startswith(start)


def test_an_unknown_layout_is_refused(server, trained):
    job, _, _ = trained
    response = server.http.get(f"/v1/jobs/{job['id']}/weights", params={"layout": "jax"})
    assert (response.status_code, response.json()["code"]) == (422, "unknown_layout")
    for parameters in ({"layout": "torch", "format": "keras"}, {"preprocessing": True, "format": "keras"},
                       {"preprocessing": True, "format": "onnx"}):
        response = server.http.get(f"/v1/jobs/{job['id']}/weights", params=parameters)
        assert (response.status_code, response.json()["code"]) == (422, "not_exportable")


def test_best_without_a_monitor(server, dataset):
    job = new_job(server.http, dataset)
    row = claim(server.database, job["id"])
    publish(server.database, row, 1, b"last")
    response = server.http.get(f"/v1/jobs/{job['id']}/weights?checkpoint=best")
    assert (response.status_code, response.json()["code"]) == (422, "no_best_checkpoint")
    assert server.http.get(f"/v1/jobs/{job['id']}/weights").content == b"last"


def test_metrics_are_series_thinned_out(server, dataset):
    job = new_job(server.http, dataset)
    row = claim(server.database, job["id"])
    points = [MetricPoint(level="step", epoch=1, step=n, values={"loss": 1 / n}) for n in range(1, 501)]
    points.append(MetricPoint(level="epoch", epoch=1, step=500, values={"val_loss": float("nan"), "loss": 0.1}))
    with server.database.write() as session:
        RunningJobRepository(session).report(row.id, row.token, points=points)
    path = f"/v1/jobs/{job['id']}/metrics"
    everything = server.http.get(path).json()
    assert {(series["name"], series["level"], len(series["points"])) for series in everything["data"]} == {
        ("loss", "step", 500),
        ("loss", "epoch", 1),
        ("val_loss", "epoch", 1),
    }
    thin = server.http.get(path, params={"names": "loss", "level": "step", "max_points": 10}).json()["data"]
    assert len(thin) == 1
    assert [thin[0]["points"][index]["step"] for index in (0, -1)] == [1, 500]
    assert len(thin[0]["points"]) <= 10
    (nan,) = server.http.get(path, params={"names": "val_loss"}).json()["data"]
    assert nan["points"][0]["value"] is None
    assert json.dumps(nan)
    assert server.http.get(path, params={"names": "absent"}).json()["data"] == []
