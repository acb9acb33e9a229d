"""Training through a real broker, relay and worker, disturbed in every way that its users and the machine may."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
import redis
from sqlalchemy import update

from stokerd.processes import identify
from store.models import Chunk
from store.repositories import CheckpointRepository
from tests.worker.jobs import LONG, Workers, new_checkpoint, spec, statuses, weights
from tests.worker.stack import SOON, Stack, points

TERMINAL = ("succeeded", "failed", "cancelled")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("training"))
    try:
        stack.run_broker()
        stack.run_relay()
        stack.run_worker("ingest")
        yield stack
    finally:
        stack.close()


@pytest.fixture(scope="module")
def dataset(stack: Stack) -> str:
    return stack.until_ingested(stack.upload(points())).id


@pytest.fixture(scope="module")
def workers(stack: Stack) -> Workers:
    return Workers(stack)


@pytest.fixture
def worker(workers: Workers) -> subprocess.Popen[bytes]:
    return workers.standing()


@pytest.fixture(scope="module")
def undisturbed(stack: Stack, dataset: str, workers: Workers) -> str:
    """The SHA-256 of the weights that the job of `spec` ends with."""
    workers.standing()
    job = stack.until_status(stack.submit(dataset, spec(stack, dataset)), "succeeded")
    return weights(stack, job.id)


def test_from_the_queue_to_weights(stack, dataset, undisturbed, worker):
    job = stack.until_status(stack.submit(dataset, spec(stack, dataset)), "succeeded")
    assert weights(stack, job.id) == undisturbed
    assert statuses(stack, job.id) == ["queued", "running", "succeeded"]
    assert (job.attempt, job.error, job.lease_until, job.worker) == (1, None, None, None)
    assert job.progress["step"] == job.progress["steps"]
    assert "loss" in job.metrics["latest"]
    events = stack.events(job.id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert {"status", "metrics", "checkpoint"} <= {event.type for event in events}
    assert events[-2].type == "checkpoint"  # in the transaction of the end
    assert len(stack.checkpoints(job.id)) == 2
    stack.until(lambda: not list((stack.settings.cache_dir / "work").iterdir()))


def test_a_waiting_job_begins_at_once(stack, dataset, undisturbed, worker):
    begun = time.monotonic()
    job = stack.submit(dataset, spec(stack, dataset, epochs=LONG))
    stack.until(lambda: (row := stack.job(job)).progress and row.progress["step"] > 0)
    assert time.monotonic() - begun < SOON
    stack.ask("request_cancel", job)
    stack.until_status(job, "cancelled")


def test_a_cancel_ends_a_running_job(stack, dataset, worker):
    job = stack.submit(dataset, spec(stack, dataset, epochs=LONG))
    stack.until(lambda: stack.checkpoints(job))
    stack.ask("request_cancel", job)
    begun = time.monotonic()
    stack.until_status(job, "cancelled")
    assert time.monotonic() - begun < SOON
    assert stack.outcomes(job) == ["cancelled"]


def test_a_pause_keeps_everything_and_a_resume_goes_on(stack, dataset, undisturbed, worker):
    job = stack.submit(dataset, spec(stack, dataset))
    stack.until(lambda: stack.checkpoints(job))
    stack.ask("request_pause", job)
    begun = time.monotonic()
    row = stack.until_status(job, "paused", "succeeded")
    assert time.monotonic() - begun < SOON
    if row.status == "paused":
        assert stack.trainer(worker) is None or stack.until(lambda: stack.trainer(worker) is None)
        stack.ask("resume", job)
    stack.until_status(job, "succeeded")
    assert weights(stack, job) == undisturbed


def test_a_killed_trainer_is_resumed_and_ends_with_the_same_weights(stack, dataset, undisturbed, workers):
    job = stack.submit(dataset, spec(stack, dataset))
    killed = 0
    for _ in range(2):
        seen = len(stack.events(job))
        stack.until(lambda: stack.job(job).status in TERMINAL or new_checkpoint(stack, job, seen))  # noqa: B023
        if stack.job(job).status in TERMINAL:
            break
        os.kill(workers.trainer(), signal.SIGKILL)
        killed += 1
        stack.until(lambda: stack.job(job).attempt > killed or stack.job(job).status in TERMINAL)  # noqa: B023
    row = stack.until_status(job, "succeeded")
    assert killed > 0
    assert row.attempt == killed + 1
    assert weights(stack, job) == undisturbed
    lost = [event for event in stack.events(job) if event.level == "warning" and event.type == "status"]
    assert "SIGKILL" in lost[0].message


def test_a_job_that_kills_every_trainer_fails_visibly(stack, dataset, workers):
    job = stack.submit(
        dataset, spec(stack, dataset, epochs=LONG, checkpoints={"every_steps": None, "every_epochs": LONG})
    )
    workers.standing()
    for attempt in (1, 2, 3):
        stack.until(lambda: stack.job(job).attempt == attempt)  # noqa: B023
        os.kill(workers.trainer(), signal.SIGKILL)
        stack.until(lambda: stack.job(job).attempt > attempt or stack.job(job).status != "running")  # noqa: B023
    row = stack.until_status(job, "failed")
    assert row.error["code"] == "worker_lost"
    assert "SIGKILL" in row.error["message"]


def test_a_killed_worker_loses_its_jobs_to_the_reaper(stack, dataset, undisturbed, workers):
    job = stack.submit(dataset, spec(stack, dataset))
    workers.standing()
    stack.until(lambda: stack.checkpoints(job))
    trainer = workers.trainer()
    stack.kill(workers.standing())
    stack.until(lambda: identify(trainer) is None)
    workers.standing()
    row = stack.until_status(job, "succeeded")
    assert row.attempt == 2
    assert stack.outcomes(job) == ["lost", "succeeded"]
    assert weights(stack, job) == undisturbed


def test_a_worker_that_is_told_to_stop_gives_its_job_back(stack, dataset, undisturbed, workers):
    job = stack.submit(dataset, spec(stack, dataset))
    worker = workers.standing()
    stack.until(lambda: stack.checkpoints(job))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    row = stack.job(job)
    if row.status == "queued":
        assert (row.attempt, stack.outcomes(job)) == (0, ["released"])
    workers.standing()
    row = stack.until_status(job, "succeeded")
    assert row.attempt == 1
    assert weights(stack, job) == undisturbed


def test_a_second_sigterm_does_not_wait_for_a_checkpoint(stack, dataset, workers):
    job = stack.submit(dataset, spec(stack, dataset, epochs=LONG))
    worker = workers.standing()
    stack.until(lambda: stack.checkpoints(job))
    worker.send_signal(signal.SIGTERM)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert stack.job(job).status == "queued"
    stack.ask("request_cancel", job)


def test_a_corrupt_checkpoint_falls_back_to_the_one_before(stack, dataset, undisturbed, workers):
    job = stack.submit(dataset, spec(stack, dataset))
    worker = workers.standing()
    stack.until(lambda: len(stack.checkpoints(job)) == 2)
    worker.send_signal(signal.SIGTERM)
    worker.wait(20)
    assert stack.job(job).status == "queued"
    newest, before = stack.checkpoints(job)
    with stack.database.write() as session:
        session.execute(update(Chunk).where(Chunk.blob_id == newest.weights_blob).values(data=b"rotten"))
    workers.standing()
    stack.until_status(job, "succeeded")
    with stack.database.read() as session:
        found = CheckpointRepository(session).find(newest.id)
    assert found is None or found.corrupt
    warnings = [event.message for event in stack.events(job) if event.level == "warning"]
    assert any(newest.id in message and f"step {before.step}" in message for message in warnings)
    assert weights(stack, job) == undisturbed


def test_a_flushed_broker_costs_only_time(stack, dataset, worker):
    long = stack.submit(dataset, spec(stack, dataset, epochs=LONG))
    stack.until_status(long, "running")
    waiting = stack.submit(dataset, spec(stack, dataset, epochs=1))
    client = redis.Redis(unix_socket_path=stack.settings.broker_url.removeprefix("redis+socket://"))
    stack.until(lambda: client.llen("training"))
    client.flushall()
    client.close()
    stack.ask("request_cancel", long)
    stack.until_status(waiting, "succeeded")


def test_a_restarted_broker_costs_only_time(stack, dataset, worker):
    broker = stack.processes[0]
    stack.kill(broker)
    job = stack.submit(dataset, spec(stack, dataset, epochs=1))
    time.sleep(0.5)
    stack.processes[0] = stack.run_broker()
    stack.until_status(job, "succeeded")


def test_a_job_that_outgrows_its_memory_fails_with_that_cause(stack, dataset, worker):
    large = spec(stack, dataset, epochs=LONG, units=6000, resources={"memory_bytes": 1_000_000})
    job = stack.submit(dataset, large)
    assert stack.until_status(job, "failed").error["code"] == "out_of_memory"


def test_a_job_that_takes_too_long_fails_with_that_cause(stack, dataset, worker):
    job = stack.submit(dataset, spec(stack, dataset, epochs=LONG, resources={"max_seconds": 1.0}))
    row = stack.until_status(job, "failed")
    assert (row.error["code"], row.error["pointer"]) == ("time_limit", "/resources/max_seconds")
    assert stack.checkpoints(job)


def test_a_failed_job_retried_goes_on_from_its_checkpoint(stack, dataset, worker):
    job = stack.submit(dataset, spec(stack, dataset, epochs=LONG, resources={"max_seconds": 1.0}))
    stack.until_status(job, "failed")
    (newest, *_) = stack.checkpoints(job)
    stack.ask("retry", job)
    stack.until_status(job, "running", "queued")
    stack.until_status(job, "failed")
    assert stack.checkpoints(job)[0].step > newest.step


def test_a_warm_start_begins_with_the_others_weights(stack, dataset, undisturbed, worker):
    first = stack.until_status(stack.submit(dataset, spec(stack, dataset, epochs=1)), "succeeded")
    start = {"job": first.id, "checkpoint": first.latest_checkpoint_id}
    job = stack.until_status(stack.submit(dataset, spec(stack, dataset, initial_weights=start)), "succeeded")
    assert weights(stack, job.id) != undisturbed
