from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete

from store import health, outbox
from store.base import utc_now
from store.models import OutboxRow
from store.repositories import WorkerRepository
from store.session import Database


def test_a_worker_is_well_while_it_is_heard_of(database: Database) -> None:
    with database.write() as session:
        WorkerRepository(session).beat("training-1@box_1", "training", 1)
        assert health.worker_is_well(session, "box_1")
        assert not health.worker_is_well(session, "box")
        assert not health.worker_is_well(session, "boxx1")
        assert not health.worker_is_well(session, "%")
        WorkerRepository(session).leave("training-1@box_1")
        assert not health.worker_is_well(session, "box_1")


def test_the_relay_is_well_while_no_message_waits_long(database: Database) -> None:
    with database.write() as session:
        session.execute(delete(OutboxRow))
        assert health.relay_is_well(session)
        outbox.add(session, "training", "created")
        session.flush()
        assert health.relay_is_well(session)
        session.add(OutboxRow(queue="training", reason="created", created_at=utc_now() - timedelta(minutes=5)))
        session.flush()
        assert not health.relay_is_well(session)
        session.execute(delete(OutboxRow))


def test_the_command_answers_with_its_exit_status(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable, value in database.settings.to_environment().items():
        monkeypatch.setenv(variable, value)
    assert health.main(["relay"]) == 0
    assert health.main(["worker"]) == 1
    assert health.main([]) == 2
    assert "usage" in capsys.readouterr().err
    monkeypatch.setenv("STOKER_DATABASE_URL", "postgresql://stoker@127.0.0.1:1/none")
    assert health.main(["worker"]) == 1
    assert "does not answer" in capsys.readouterr().err
