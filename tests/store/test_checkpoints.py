from __future__ import annotations

import pytest

from store.blobs import BlobWriter, read_blob
from store.errors import BlobGone, CorruptBlob, LeaseLost, NotFound
from store.models import Checkpoint, Chunk, Job
from store.repositories import CheckpointRepository, EventRepository, JobRepository
from store.repositories.running_jobs import RunningJobRepository
from store.session import Database
from tests.store.rows import claimed_job, new_dataset, new_job, new_project, publish, written


@pytest.fixture
def job(database: Database) -> Job:
    project_id = new_project(database)
    return claimed_job(database, project_id, new_dataset(database, project_id).id)


def read(database: Database, job: Job) -> Job:
    with database.read() as session:
        return JobRepository(session).get(job.project_id, job.id)


def kept(database: Database, job: Job) -> list[int]:
    with database.read() as session:
        return [row.step for row in CheckpointRepository(session).page(job.id, order="asc").rows]


def test_a_checkpoint_moves_with_what_the_job_says_of_itself(database: Database, job: Job) -> None:
    weights, state = written(database, b"weights"), written(database, b"state")
    with database.write() as session:
        checkpoint = CheckpointRepository(session).publish(
            job.id,
            job.token,
            weights=weights,
            state=state,
            step=100,
            epoch=2,
            metrics={"val_loss": 0.5},
            best=True,
            manifest={"format": 1},
            job_metrics={"best": {"val_loss": 0.5}},
            progress={"step": 100},
        )
    after = read(database, job)
    assert after.latest_checkpoint_id == after.best_checkpoint_id == checkpoint.id
    assert (after.metrics, after.progress, after.attempts_without_progress) == (
        {"best": {"val_loss": 0.5}},
        {"step": 100},
        0,
    )
    with database.read() as session:
        found = CheckpointRepository(session).get(job.project_id, job.id, checkpoint.id)
        event = EventRepository(session).page(job.id, order="desc", limit=1).rows[0]
    assert (found.size_bytes, found.sha256, found.state_bytes, found.manifest) == (7, weights.sha256, 5, {"format": 1})
    assert (event.type, event.data["checkpoint"], event.data["best"]) == ("checkpoint", checkpoint.id, True)
    assert event.message == "Checkpoint at step 100, epoch 2, the best so far."
    assert b"".join(read_blob(database, found.weights_blob)) == b"weights"
    assert b"".join(read_blob(database, found.state_blob)) == b"state"


def test_old_checkpoints_go_but_for_the_best(database: Database, job: Job) -> None:
    publish(database, job, 1, keep_last=3)
    best = publish(database, job, 2, best=True, keep_last=3)
    for step in range(3, 8):
        publish(database, job, step, keep_last=3)
    assert kept(database, job) == [2, 5, 6, 7]
    assert read(database, job).best_checkpoint_id == best.id
    publish(database, job, 8, best=True, keep_last=3)
    assert kept(database, job) == [6, 7, 8]


@pytest.mark.parametrize("keep_last", [0, 1])
def test_there_is_always_one_to_fall_back_to(database: Database, job: Job, keep_last: int) -> None:
    for step in range(1, 5):
        publish(database, job, step, keep_last=keep_last)
    assert kept(database, job) == [3, 4]


def test_a_checkpoint_that_another_job_starts_from_stays(database: Database, job: Job) -> None:
    source = publish(database, job, 1)
    with database.write() as session:
        spec = {"initial_weights": {"job": job.id, "checkpoint": source.id}}
        started = JobRepository(session).create(job.project_id, name="warm", spec=spec, dataset_id=str(job.dataset_id))
        JobRepository(session).request_cancel(job.project_id, started.id)
    for step in range(2, 6):
        publish(database, job, step)
    assert kept(database, job) == [1, 4, 5]


def test_a_job_cannot_start_from_a_checkpoint_that_is_gone(database: Database, job: Job) -> None:
    gone = publish(database, job, 1)
    for step in range(2, 4):
        publish(database, job, step)
    with pytest.raises(NotFound), database.write() as session:
        spec = {"initial_weights": {"job": job.id, "checkpoint": gone.id}}
        JobRepository(session).create(job.project_id, name="warm", spec=spec, dataset_id=str(job.dataset_id))


def test_an_unreadable_checkpoint_falls_back_with_a_visible_warning(database: Database, job: Job) -> None:
    first = publish(database, job, 1, best=True)
    second = publish(database, job, 2, best=True)
    with database.write() as session:
        before = CheckpointRepository(session).discard(
            job.id, job.token, second.id, "chunk 0 does not give its SHA-256"
        )
    assert before is not None and before.id == first.id
    after = read(database, job)
    assert (after.latest_checkpoint_id, after.best_checkpoint_id) == (first.id, first.id)
    with database.read() as session:
        event = EventRepository(session).page(job.id, order="desc", limit=1).rows[0]
        marked = CheckpointRepository(session).find(second.id)
    assert (event.level, event.data) == ("warning", {"checkpoint": second.id})
    assert "going on from step 1" in event.message
    assert marked is not None and marked.corrupt
    with database.write() as session:
        assert CheckpointRepository(session).discard(job.id, job.token, first.id, "too") is None
    after = read(database, job)
    assert (after.latest_checkpoint_id, after.best_checkpoint_id) == (None, None)


def test_a_stale_worker_publishes_and_discards_nothing(database: Database, job: Job) -> None:
    publish(database, job, 1)
    with database.write() as session:
        RunningJobRepository(session).release(job.id, job.token)
    before = read(database, job)
    with pytest.raises(LeaseLost):
        publish(database, job, 2)
    with pytest.raises(LeaseLost), database.write() as session:
        CheckpointRepository(session).discard(job.id, job.token, str(before.latest_checkpoint_id), "x")
    after = read(database, job)
    assert (after.latest_checkpoint_id, after.event_seq) == (before.latest_checkpoint_id, before.event_seq)
    assert kept(database, job) == [1]
    with database.write() as session:
        JobRepository(session).request_cancel(job.project_id, job.id)


def test_a_checkpoint_with_a_lost_chunk_is_not_published(database: Database, job: Job) -> None:
    weights, state = written(database, b"weights"), written(database, b"state")
    with database.write() as session:
        session.query(Chunk).filter(Chunk.blob_id == state.id).delete()
    with pytest.raises(CorruptBlob), database.write() as session:
        CheckpointRepository(session).publish(
            job.id, job.token, weights=weights, state=state, step=1, epoch=1, metrics={}, best=False
        )
    assert read(database, job).latest_checkpoint_id is None


def test_checkpoints_of_others_are_not_found(database: Database, job: Job) -> None:
    checkpoint = publish(database, job, 1)
    other = new_job(database, job.project_id, str(job.dataset_id))
    with database.read() as session:
        for project_id, job_id in ((new_project(database), job.id), (job.project_id, other.id)):
            with pytest.raises(NotFound):
                CheckpointRepository(session).get(project_id, job_id, checkpoint.id)
    with database.write() as session:
        JobRepository(session).request_cancel(job.project_id, other.id)


def test_two_jobs_with_the_same_weights_share_a_blob(database: Database, job: Job) -> None:
    checkpoints: list[Checkpoint] = [publish(database, job, 1)]
    other = claimed_job(database, job.project_id, str(job.dataset_id))
    checkpoints.append(publish(database, other, 1))
    assert len({row.weights_blob for row in checkpoints}) == 1
    assert len({row.id for row in checkpoints}) == 2


def test_collected_chunks_are_noticed(database: Database, job: Job) -> None:
    weights = BlobWriter(database)
    weights.abort()
    state = written(database, b"state")
    with pytest.raises(BlobGone), database.write() as session:
        CheckpointRepository(session).publish(
            job.id, job.token, weights=weights, state=state, step=1, epoch=1, metrics={}, best=False
        )
