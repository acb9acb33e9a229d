"""What must not depend on the database, on PostgreSQL: two trainings at once, a killed trainer, a killed worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from store.models import Job
from tests.postgres import PostgresServer
from tests.worker.jobs import Workers, spec, weights
from tests.worker.stack import Stack, points


@pytest.fixture(scope="module")
def stack(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("training"), postgres.create_database("training"))
    try:
        stack.run_broker()
        stack.run_relay()
        stack.run_worker("ingest")
        yield stack
    finally:
        stack.close()
        postgres.drop_database("training")


def test_disturbed_and_undisturbed_jobs_end_with_the_same_weights(stack):
    dataset = stack.until_ingested(stack.upload(points())).id
    workers = Workers(stack, concurrency=2)
    workers.standing()
    killed = stack.submit(dataset, spec(stack, dataset))
    stack.until(lambda: stack.checkpoints(killed))
    os.kill(workers.trainer(), signal.SIGKILL)
    stack.until(lambda: stack.job(killed).attempt == 2)

    orphaned, undisturbed = (stack.submit(dataset, spec(stack, dataset)) for _ in range(2))
    stack.until(lambda: stack.checkpoints(orphaned))
    stack.kill(workers.standing())
    for job in (killed, orphaned):
        stack.pass_lease(Job, job)
    workers.standing()
    for job in (killed, orphaned, undisturbed):
        stack.until_status(job, "succeeded")
    assert {weights(stack, job) for job in (killed, orphaned, undisturbed)} == {weights(stack, undisturbed)}
    assert stack.outcomes(orphaned) == ["lost", "succeeded"]
