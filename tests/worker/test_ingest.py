"""Ingest through a real broker, relay and worker."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pytest
from sqlalchemy import func, select

from store.blobs import read_blob
from store.models import Dataset, Worker
from store.repositories import DatasetRepository
from tests.worker.stack import Stack, points
from worker.dataset_cache import ColumnFile, DatasetCache


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("ingest"))
    try:
        stack.run_broker()
        stack.run_relay()
        yield stack
    finally:
        stack.close()


@pytest.fixture(scope="module")
def worker(stack: Stack):
    return stack.run_worker("ingest")


def test_an_upload_becomes_columns(stack, worker):
    dataset = stack.until_ingested(stack.upload(points(100, 4)))
    assert (dataset.status, dataset.error) == ("ready", None)
    assert dataset.manifest["examples"] == 100
    with stack.database.read() as session:
        files = DatasetRepository(session).files(dataset.id)
    x = max(files, key=lambda file: file.size_bytes)
    content = b"".join(read_blob(stack.database, x.blob_id))
    assert np.load(io.BytesIO(content)).shape == (100, 4)
    # The columns were left for training on this machine.
    cache = DatasetCache(stack.settings.cache_dir / "datasets", stack.settings.cache_bytes)
    stack.until(lambda: cache.folder([ColumnFile.of(file) for file in files]).exists())


BEATING = """
import sys, worker.presence
from stokerd.main import main
worker.presence.BEAT_SECONDS = 0.05
sys.exit(main(["worker", "--queue", "ingest"]))
"""


def test_an_idle_workers_beats_do_not_disturb_its_listening(stack):
    """A question on the connection that waits for work would take its answer, and end the worker."""
    beating = stack.run([sys.executable, "-c", BEATING])
    before = len(stack.log.read_bytes())

    def said() -> datetime | None:
        with stack.database.read() as session:
            return session.scalar(select(func.max(Worker.seen_at)).where(Worker.queue == "ingest"))

    for _ in range(40):
        last = said()
        stack.until(lambda: said() != last)  # noqa: B023
    assert b"Error" not in stack.log.read_bytes()[before:]
    assert beating.poll() is None
    assert stack.until_ingested(stack.upload(points(10))).status == "ready"
    stack.kill(beating)


@pytest.mark.parametrize("content", [b"", b"not a zip", points()[:1000]])
def test_a_bad_upload_fails_with_its_cause(stack, worker, content):
    dataset = stack.until_ingested(stack.upload(content))
    assert dataset.status == "failed"
    assert dataset.error["code"] not in ("internal_error", "worker_lost")
    assert dataset.error["message"]


def big() -> bytes:
    """Enough to be met in the middle: stored values, so that it is also slow to check."""
    return points(60_000, 64)


def test_killed_again_and_again_it_fails_and_once_it_gets_ready(stack, worker):
    content = big()
    dataset = stack.upload(content)
    killed = 0
    while stack.dataset(dataset).status == "processing":
        if (pid := stack.trainer(worker)) is not None and stack.dataset(dataset).attempt > killed:
            os.kill(pid, signal.SIGKILL)
            killed += 1
        time.sleep(0.01)
    row = stack.dataset(dataset)
    assert (row.status, row.error["code"], killed) == ("failed", "worker_lost", 3)
    assert "SIGKILL" in row.error["message"]

    dataset = stack.upload(content)
    os.kill(stack.until(lambda: stack.trainer(worker)), signal.SIGKILL)
    assert stack.until_ingested(dataset).status == "ready"
    assert stack.dataset(dataset).attempt == 2


def test_a_whole_worker_that_is_killed_loses_nothing(stack, worker):
    dataset = stack.upload(big())
    stack.until(lambda: stack.trainer(worker))
    stack.kill(worker)
    assert stack.dataset(dataset).status == "processing"
    stack.pass_lease(Dataset, dataset)
    other = stack.run_worker("ingest")
    assert stack.until_ingested(dataset).status == "ready"

    # And one that is told to stop gives its work back without consuming an attempt.
    dataset = stack.upload(big())
    stack.until(lambda: stack.trainer(other))
    other.send_signal(signal.SIGTERM)
    assert other.wait(20) == 0
    row = stack.dataset(dataset)
    assert (row.status, row.attempt, row.lease_until) in [("processing", 0, None), ("ready", 1, None)]
