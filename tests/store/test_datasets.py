from __future__ import annotations

import threading

import pytest

from store.blobs import read_blob
from store.errors import Conflict, NotFound, QuotaExceeded
from store.models import Dataset
from store.repositories import DatasetRepository, JobRepository, ProjectRepository
from store.session import Database
from tests.store.rows import new_dataset, new_job, new_project, written

ERROR = {"code": "not_an_image", "message": "expected PNG or JPEG", "pointer": None}


@pytest.fixture
def project_id(database: Database) -> str:
    return new_project(database)


def claim(database: Database, wanted: Dataset) -> Dataset:
    """Claim until it is `wanted`'s turn."""
    while True:
        with database.write() as session:
            dataset = DatasetRepository(session).claim_next("ingester", 30.0)
        assert dataset is not None
        if dataset.id == wanted.id:
            return dataset


def ingest(database: Database, wanted: Dataset) -> None:
    dataset = claim(database, wanted)
    files = {"image.npy": written(database, b"images"), "label.npy": written(database, b"labels")}
    with database.write() as session:
        DatasetRepository(session).ready(dataset.id, dataset.token, {"format": "npz", "examples": 2}, files)


def test_an_upload_becomes_columns(database: Database, project_id: str) -> None:
    uploaded = new_dataset(database, project_id, b"zip", filename="digits.zip", options={"delimiter": ";"})
    assert (uploaded.status, uploaded.size_bytes, uploaded.manifest) == ("processing", 3, None)
    claimed = claim(database, uploaded)
    with database.write() as session:
        assert not DatasetRepository(session).report(claimed.id, claimed.token, {"done": 1, "total": 2}).cancel
    files = {"label.npy": written(database, b"labels"), "image.npy": written(database, b"images")}
    with database.write() as session:
        DatasetRepository(session).ready(claimed.id, claimed.token, {"format": "image-folder", "examples": 2}, files)
    with database.read() as session:
        datasets = DatasetRepository(session)
        ready = datasets.get(project_id, uploaded.id)
        stored = datasets.files(uploaded.id)
    assert (ready.status, ready.format, ready.manifest) == (
        "ready",
        "image-folder",
        {"format": "image-folder", "examples": 2},
    )
    assert (ready.lease_until, ready.worker) == (None, None)
    assert ready.progress is None, "what was reported last is not how far it is"
    assert ready.finished_at is not None
    assert [(file.name, b"".join(read_blob(database, file.blob_id))) for file in stored] == [
        ("image.npy", b"images"),
        ("label.npy", b"labels"),
    ]


def test_a_faulty_upload_says_why(database: Database, project_id: str) -> None:
    dataset = claim(database, new_dataset(database, project_id))
    with database.write() as session:
        DatasetRepository(session).fail(dataset.id, dataset.token, ERROR)
    with database.read() as session:
        failed = DatasetRepository(session).get(project_id, dataset.id)
    assert (failed.status, failed.error) == ("failed", ERROR)


def test_versions_of_a_name_count_up_also_at_once(database: Database, project_id: str) -> None:
    made: list[int] = []

    def upload() -> None:
        made.append(new_dataset(database, project_id, name="same").version)

    threads = [threading.Thread(target=upload) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [1, 2, 3, 4, 5]
    assert new_dataset(database, project_id, name="another").version == 1
    assert new_dataset(database, new_project(database), name="same").version == 1


def test_a_deleted_dataset_is_gone_for_users_and_known_to_its_jobs(database: Database, project_id: str) -> None:
    dataset = new_dataset(database, project_id)
    ingest(database, dataset)
    job = new_job(database, project_id, dataset.id)
    with pytest.raises(Conflict, match="not ended") as refused, database.write() as session:
        DatasetRepository(session).delete(project_id, dataset.id)
    assert refused.value.code == "dataset_in_use"
    with database.write() as session:
        JobRepository(session).request_cancel(project_id, job.id)
    with pytest.raises(NotFound), database.write() as session:
        DatasetRepository(session).delete(new_project_id(session), dataset.id)
    with database.write() as session:
        DatasetRepository(session).delete(project_id, dataset.id)
    with database.read() as session:
        datasets = DatasetRepository(session)
        with pytest.raises(NotFound):
            datasets.get(project_id, dataset.id)
        assert dataset.id not in [row.id for row in datasets.page(project_id).rows]
        assert datasets.files(dataset.id) == []
        assert JobRepository(session).get(project_id, job.id).dataset_id == dataset.id
    with pytest.raises(NotFound), database.write() as session:
        DatasetRepository(session).delete(project_id, dataset.id)
    with pytest.raises(NotFound), database.read() as session:
        DatasetRepository(session).get(project_id, dataset.id)
    assert new_dataset(database, project_id).version == dataset.version + 1


def new_project_id(session) -> str:
    return ProjectRepository(session).create("another project").id


def test_deleting_a_waiting_dataset_takes_it_out_of_the_queue(database: Database, project_id: str) -> None:
    dataset = new_dataset(database, project_id)
    with database.write() as session:
        DatasetRepository(session).delete(project_id, dataset.id)
    with database.write() as session:
        datasets = DatasetRepository(session)
        taken = [claimed.id for claimed in iter(lambda: datasets.claim_next("w", 30.0), None)]
    assert dataset.id not in taken


@pytest.mark.parametrize("how", ["ready", "release", "lose"])
def test_deleting_a_dataset_cancels_its_ingest(database: Database, project_id: str, how: str) -> None:
    dataset = claim(database, new_dataset(database, project_id))
    with database.write() as session:
        DatasetRepository(session).delete(project_id, dataset.id)
    with database.write() as session:
        assert DatasetRepository(session).renew(dataset.id, dataset.token, 30.0).cancel
    column = written(database, b"too late")
    with database.write() as session:
        datasets = DatasetRepository(session)
        if how == "ready":
            datasets.ready(dataset.id, dataset.token, {"format": "npz"}, {"image.npy": column})
        elif how == "release":
            datasets.release(dataset.id, dataset.token)
        else:
            assert datasets.lose(dataset.id, dataset.token, "x") == "failed"
    with database.read() as session:
        row = DatasetRepository(session).find(dataset.id)
        assert row is not None and row.error is not None
        assert (row.status, row.error["code"], row.lease_until) == ("failed", "deleted", None)
        assert DatasetRepository(session).files(dataset.id) == []


def test_a_project_stores_no_more_than_its_limit(database: Database, project_id: str) -> None:
    new_dataset(database, project_id, b"x" * 60, bytes_limit=100)
    with pytest.raises(QuotaExceeded, match="limit of 100 stored bytes"):
        new_dataset(database, project_id, b"y" * 41, bytes_limit=100)
    last = new_dataset(database, project_id, b"y" * 40, bytes_limit=100)
    with database.read() as session:
        assert ProjectRepository(session).stored_bytes(project_id) == 100
    ingest(database, last)
    with database.read() as session:
        assert ProjectRepository(session).stored_bytes(project_id) == 112
    with database.write() as session:
        DatasetRepository(session).delete(project_id, last.id)
    with database.read() as session:
        assert ProjectRepository(session).stored_bytes(project_id) == 60
