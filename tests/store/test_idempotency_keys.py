"""Concurrent twins, crashes in between, and keys used for something else."""

from __future__ import annotations

import threading
import time

import pytest

from store.errors import Conflict, IdempotencyMismatch
from store.repositories import IdempotencyRepository, ModelRepository
from store.repositories.idempotency_keys import Pending, Replay, Reserved, reserve_or_wait
from store.session import Database
from tests.store.rows import new_project


@pytest.fixture
def project_id(database: Database) -> str:
    return new_project(database)


def reserve(database: Database, project_id: str, key: str = "key", fingerprint: str = "body", **options):
    with database.write() as session:
        return IdempotencyRepository(session).reserve(project_id, key, fingerprint, **options)


def complete(database: Database, project_id: str, owner: str, key: str = "key", body: str = '{"id":"job_1"}') -> None:
    with database.write() as session:
        headers = {"location": "/v1/jobs/job_1"}
        IdempotencyRepository(session).complete(project_id, key, owner, status=201, headers=headers, body=body)


def test_the_second_request_gets_the_first_ones_answer(database: Database, project_id: str) -> None:
    first = reserve(database, project_id)
    assert isinstance(first, Reserved)
    complete(database, project_id, first.owner, body='{"b":1,  "a":2}')
    assert reserve(database, project_id) == Replay(201, {"location": "/v1/jobs/job_1"}, '{"b":1,  "a":2}')


def test_another_body_is_refused_whether_the_first_is_done_or_not(database: Database, project_id: str) -> None:
    first = reserve(database, project_id)
    assert isinstance(first, Reserved)
    with pytest.raises(IdempotencyMismatch):
        reserve(database, project_id, fingerprint="other")
    complete(database, project_id, first.owner)
    with pytest.raises(IdempotencyMismatch):
        reserve(database, project_id, fingerprint="other")


def test_keys_belong_to_their_project(database: Database, project_id: str) -> None:
    assert isinstance(reserve(database, project_id), Reserved)
    assert isinstance(reserve(database, new_project(database), fingerprint="other"), Reserved)


def test_a_released_key_is_free(database: Database, project_id: str) -> None:
    first = reserve(database, project_id)
    assert isinstance(first, Reserved)
    with database.write() as session:
        IdempotencyRepository(session).release(project_id, "key", "someone else")
    assert isinstance(reserve(database, project_id), Pending)
    with database.write() as session:
        IdempotencyRepository(session).release(project_id, "key", first.owner)
    assert isinstance(reserve(database, project_id, fingerprint="other"), Reserved)


def test_concurrent_twins_do_the_work_once(database: Database, project_id: str) -> None:
    start = threading.Barrier(6)
    answers: list[str] = []

    def request() -> None:
        start.wait()
        found = reserve_or_wait(database, project_id, "twins", "body")
        if isinstance(found, Reserved):
            time.sleep(0.2)
            with database.write() as session:
                model = ModelRepository(session).create(project_id, name="m", definition={})
                repository = IdempotencyRepository(session)
                repository.complete(project_id, "twins", found.owner, status=201, headers={}, body=model.id)
            answers.append(model.id)
        else:
            assert isinstance(found, Replay)
            answers.append(found.body)

    threads = [threading.Thread(target=request) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    assert len(set(answers)) == 1
    with database.read() as session:
        assert len(ModelRepository(session).page(project_id).rows) == 1


def test_waiting_for_a_twin_has_an_end(database: Database, project_id: str) -> None:
    assert isinstance(reserve(database, project_id), Reserved)
    began = time.monotonic()
    assert isinstance(reserve_or_wait(database, project_id, "key", "body", wait_seconds=0.2), Pending)
    assert 0.2 <= time.monotonic() - began < 5


def test_work_that_was_rolled_back_leaves_no_answer(database: Database, project_id: str) -> None:
    first = reserve(database, project_id, hold_seconds=0.0)
    assert isinstance(first, Reserved)
    with pytest.raises(RuntimeError), database.write() as session:
        IdempotencyRepository(session).complete(project_id, "key", first.owner, status=201, headers={}, body="x")
        raise RuntimeError("the server died before its commit")
    time.sleep(0.01)
    assert isinstance(reserve(database, project_id), Reserved)


def test_whoever_takes_over_a_stale_reservation_does_the_work_alone(database: Database, project_id: str) -> None:
    slow = reserve(database, project_id, hold_seconds=-1.0)
    second = reserve(database, project_id)
    assert isinstance(slow, Reserved) and isinstance(second, Reserved)
    assert slow.owner != second.owner
    with pytest.raises(Conflict, match="took over"):
        complete(database, project_id, slow.owner)
    complete(database, project_id, second.owner)
    with pytest.raises(Conflict):
        complete(database, project_id, second.owner)


def test_an_old_key_is_forgotten(database: Database, project_id: str) -> None:
    first = reserve(database, project_id)
    assert isinstance(first, Reserved)
    complete(database, project_id, first.owner)
    assert isinstance(reserve(database, project_id, keep_seconds=3600.0), Replay)
    again = reserve(database, project_id, fingerprint="other", keep_seconds=-1.0)
    assert isinstance(again, Reserved)
    assert isinstance(reserve(database, project_id, fingerprint="other"), Pending)
    with database.write() as session:
        assert IdempotencyRepository(session).forget(-1.0) >= 1
    assert isinstance(reserve(database, project_id), Reserved)
