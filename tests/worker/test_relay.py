"""The relay on both databases; the broker is a list here, and a real Valkey in test_training.py."""

from __future__ import annotations

import dataclasses

import pytest

from store import outbox
from store.repositories import JobRepository, WorkerRepository
from store.repositories.datasets import DatasetRepository
from store.repositories.running_jobs import RunningJobRepository
from store.session import Database
from tests.store.rows import claim, claimed_job, new_dataset, new_job, new_project
from worker.relay import COLLECT_SECONDS, MORE_SECONDS, Relay, Rounds


class Sent(list[str]):
    """What was sent, and how much of it still lies in the broker."""

    lying = 0

    def length(self, queue: str) -> int:
        return self.lying


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def quiet(database: Database) -> Database:
    """Without waiting or held work, messages and workers of tests before."""
    with database.write() as session:
        outbox.sent(session, [message.id for message in outbox.take(session, limit=1000, hold_seconds=0)])
        WorkerRepository(session).forget(0)
    while (job := claim(database)) is not None:
        with database.write() as session:
            RunningJobRepository(session).finish(job.id, job.token, "cancelled")
    with database.write() as session:
        while (dataset := DatasetRepository(session).claim_next("quiet", 30)) is not None:
            DatasetRepository(session).fail(dataset.id, dataset.token, {})
    return database


@pytest.fixture
def project(quiet: Database) -> str:
    return new_project(quiet)


def relay_of(database: Database, sent: Sent) -> Relay:
    return Relay(database, sent.append, sent.length)


def test_each_outbox_row_is_sent_once(quiet, project, sent):
    dataset = new_dataset(quiet, project)
    new_job(quiet, project, dataset.id)
    relay = relay_of(quiet, sent)
    assert relay.relay() == 2
    assert relay.relay() == 0
    assert sent == ["ingest", "training"]


def test_a_broker_that_is_away_loses_nothing(quiet, project, sent):
    new_dataset(quiet, project)

    def away(queue: str) -> None:
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        Relay(quiet, away, sent.length).relay()
    with quiet.read() as session:
        assert outbox.pending(session) == {"ingest": 1}


def test_the_sweep_wakes_as_many_as_can_take_work(quiet, project, sent):
    dataset = new_dataset(quiet, project)
    for _ in range(5):
        new_job(quiet, project, dataset.id)
    relay = relay_of(quiet, sent)
    assert relay.sweep() == 0  # there is no worker
    with quiet.write() as session:
        WorkerRepository(session).beat("w", "training", 4)
    claim(quiet)
    sent.lying = 1
    assert relay.sweep() == 2  # 4 slots, 1 held, 1 message on the way
    assert sent == ["training"] * 2
    sent.lying = 10
    assert relay.sweep() == 0


def test_a_worker_that_comes_is_woken_for_what_waits(quiet, project, sent):
    """As after a restart, when the wake-ups went with the broker: not only at the next sweep."""
    new_job(quiet, project, new_dataset(quiet, project).id)
    relay = relay_of(quiet, sent)
    assert relay.greet() == 0
    for name in ("first", "second"):
        with quiet.write() as session:
            WorkerRepository(session).beat(name, "training", 100)  # also for what other tests hold
        assert relay.greet() == 1
        assert relay.greet() == 0
    assert sent == ["training"] * 2


def test_rounds_greet_long_before_the_second_sweep(sqlite_database, sent):
    rounds = Rounds(relay_of(sqlite_database, sent))
    rounds.once(0.0)
    project = new_project(sqlite_database)
    with sqlite_database.write() as session:
        WorkerRepository(session).beat("late", "ingest", 1)
    new_dataset(sqlite_database, project)
    with sqlite_database.write() as session:
        outbox.sent(session, [message.id for message in outbox.take(session, hold_seconds=0)])
    rounds.once(1.0)
    assert sent == ["ingest"]


def test_a_lease_is_taken_away_only_after_it_was_seen_expired_for_long_enough(quiet, project, sent):
    dataset = new_dataset(quiet, project)
    lost = claimed_job(quiet, project, dataset.id, lease_seconds=-5)
    alive = claimed_job(quiet, project, dataset.id, lease_seconds=60)
    relay = relay_of(quiet, sent)
    wait = quiet.settings.reap_seconds
    assert relay.reap(1000.0) == []
    assert relay.reap(1000.0 + wait - 1) == []
    assert relay.reap(1000.0 + wait) == [lost.id]
    with quiet.read() as session:
        assert JobRepository(session).get(project, lost.id).status == "queued"
        assert JobRepository(session).get(project, alive.id).status == "running"


def test_a_renewed_lease_is_another_one(quiet, project, sent):
    """As after a jump of the database's clock: everything looks expired, and every living worker renews."""
    job = claimed_job(quiet, project, new_dataset(quiet, project).id, lease_seconds=-5)
    relay = relay_of(quiet, sent)
    wait = quiet.settings.reap_seconds
    assert relay.reap(0.0) == []
    with quiet.write() as session:
        RunningJobRepository(session).renew(job.id, job.token, -4)
    assert relay.reap(wait) == []
    assert relay.reap(2 * wait - 1) == []
    assert relay.reap(2 * wait) == [job.id]


def test_ingests_are_reaped_too(quiet, project, sent):
    dataset = new_dataset(quiet, project)
    with quiet.write() as session:
        DatasetRepository(session).claim_next("w", -5)
    relay = relay_of(quiet, sent)
    relay.reap(0.0)
    assert relay.reap(quiet.settings.reap_seconds) == [dataset.id]


def test_one_failing_round_does_not_stop_the_others(sqlite_database, sent):
    database = Database(dataclasses.replace(sqlite_database.settings, reap_seconds=0.0))
    new_dataset(database, new_project(database))
    relay = relay_of(database, sent)

    def fail() -> int:
        raise ConnectionError

    relay.sweep = fail  # type: ignore[method-assign]
    rounds = Rounds(relay)
    rounds.once(0.0)
    assert sent == ["ingest"]
    database.close()


def test_a_round_with_more_to_do_comes_again_soon(quiet, sent, monkeypatch):
    more = iter([True, False])
    monkeypatch.setattr("worker.relay.collect", lambda database: next(more))
    rounds = Rounds(relay_of(quiet, sent))
    rounds.once(1000.0)
    assert rounds._due["collect"] == 1000.0 + MORE_SECONDS
    rounds.once(1000.0 + MORE_SECONDS)
    assert rounds._due["collect"] == 1000.0 + MORE_SECONDS + COLLECT_SECONDS
