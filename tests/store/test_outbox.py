from __future__ import annotations

import threading
from collections import Counter

import pytest
from sqlalchemy import text

from store import outbox
from store.repositories import WorkerRepository
from store.session import Database


@pytest.fixture(autouse=True)
def empty(database: Database) -> None:
    with database.write() as session:
        session.execute(text("DELETE FROM outbox"))


def add(database: Database, count: int, queue: str = "training") -> None:
    with database.write() as session:
        for _ in range(count):
            outbox.add(session, queue, "created")


def take(database: Database, **options) -> list[outbox.Message]:
    with database.write() as session:
        return outbox.take(session, **options)


def test_messages_are_taken_in_order_and_gone_once_sent(database: Database) -> None:
    add(database, 2)
    add(database, 1, "ingest")
    taken = take(database, limit=2)
    assert [message.queue for message in taken] == ["training", "training"]
    rest = take(database)
    assert [(message.queue, message.reason) for message in rest] == [("ingest", "created")]
    assert take(database) == []
    with database.write() as session:
        assert outbox.pending(session) == {"training": 2, "ingest": 1}
        outbox.sent(session, [message.id for message in taken])
        assert outbox.pending(session) == {"ingest": 1}


def test_what_a_lost_relay_held_is_sent_by_another(database: Database) -> None:
    add(database, 3)
    assert len(take(database, hold_seconds=-1.0)) == 3
    assert len(take(database)) == 3
    assert take(database) == []


def test_relays_at_once_hold_different_messages(database: Database) -> None:
    add(database, 30)
    start = threading.Barrier(4)
    taken: list[int] = []

    def relay() -> None:
        start.wait()
        while messages := take(database, limit=4):
            taken.extend(message.id for message in messages)

    threads = [threading.Thread(target=relay) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 30
    assert max(Counter(taken).values()) == 1


def test_a_rolled_back_transaction_announces_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError), database.write() as session:
        outbox.add(session, "training", "created")
        raise RuntimeError
    assert take(database) == []


def test_workers_count_while_they_are_heard(database: Database) -> None:
    with database.write() as session:
        workers = WorkerRepository(session)
        workers.beat("a", "training", 2)
        workers.beat("b", "training", 1)
        workers.beat("a", "training", 3)
        workers.beat("c", "ingest", 1)
    with database.read() as session:
        workers = WorkerRepository(session)
        assert (workers.slots("training"), workers.slots("ingest"), workers.slots("other")) == (4, 1, 0)
        assert workers.slots("training", within_seconds=-1.0) == 0
    with database.write() as session:
        WorkerRepository(session).leave("b")
        assert WorkerRepository(session).slots("training") == 3
