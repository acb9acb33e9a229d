from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, StatementError

from store.base import clock, storable_text, to_json_text
from store.models import Model, Project
from store.repositories import ModelRepository, ProjectRepository
from store.session import Database
from tests.store.rows import new_project


def test_a_write_session_commits_and_a_failed_one_leaves_nothing(database: Database) -> None:
    with database.write() as session:
        ProjectRepository(session).create("kept")
    with pytest.raises(RuntimeError), database.write() as session:
        ProjectRepository(session).create("lost")
        raise RuntimeError
    with database.read() as session:
        projects = ProjectRepository(session)
        assert projects.named("kept") is not None
        assert projects.named("lost") is None


def test_a_read_session_cannot_write(database: Database) -> None:
    with pytest.raises(DBAPIError, match=r"read-?only"), database.read() as session:
        ProjectRepository(session).create("read")
    with database.read() as session:
        assert ProjectRepository(session).named("read") is None


def test_the_databases_clock_counts_in_utc(database: Database) -> None:
    with database.read() as session:
        now, later = session.execute(select(clock(), clock(30.0))).one()
        assert abs((now - datetime.now(UTC)).total_seconds()) < 5
        assert 29.9 < (later - now).total_seconds() < 30.1
        assert session.scalar(select(clock() < clock(0.5)))
        assert not session.scalar(select(clock() < clock(-0.5)))


def test_naive_times_are_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="naive"), database.write() as session:
        session.add(Project(id="prj_naive", name="naive", claimed_at=datetime(2026, 1, 1)))  # noqa: DTZ001


def test_references_are_enforced(database: Database) -> None:
    with pytest.raises(IntegrityError), database.write() as session:
        session.add(Model(id="mdl_orphan", project_id="prj_none", name="orphan", definition={}))


def test_json_holds_what_neither_database_takes(database: Database) -> None:
    document = {
        "nan": float("nan"),
        "deep": [{"infinity": float("inf")}, -float("inf"), 1e308],
        "nul\0": "a\0b",
        "surrogate": "\ud800",
        "backslash": "\\u0000",
        "unicode": "∂ε 🔥",
        "large": 2**80,
        "none": None,
    }
    project_id = new_project(database)
    with database.write() as session:
        id = ModelRepository(session).create(project_id, name="m", definition=document).id
    with database.read() as session:
        assert ModelRepository(session).get(project_id, id).definition == {
            "nan": None,
            "deep": [{"infinity": None}, None, 1e308],
            "nul\ufffd": "a\ufffdb",
            "surrogate": "?",
            "backslash": "\\u0000",
            "unicode": "∂ε 🔥",
            "large": 2**80,
            "none": None,
        }


def test_json_is_written_compactly_and_text_is_cleaned() -> None:
    assert to_json_text({"a": [1, 2.5, "é"]}) == '{"a":[1,2.5,"é"]}'
    assert storable_text("a\0\udfffb") == "a\ufffd?b"


def test_sqlite_is_set_up_as_it_must_be(sqlite_database: Database) -> None:
    with sqlite_database.read() as session:
        pragmas = {
            name: session.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys", "auto_vacuum")
        }
    journal, synchronous, busy_timeout, foreign_keys, auto_vacuum = pragmas.values()
    assert (journal, synchronous, busy_timeout, foreign_keys, auto_vacuum) == ("wal", 2, 10000, 1, 2)


def test_a_write_on_sqlite_excludes_others_from_its_first_statement_on(sqlite_database: Database) -> None:
    entered, order = threading.Event(), []

    def other() -> None:
        entered.wait()
        with sqlite_database.write() as session:
            ProjectRepository(session).create("second")
            order.append("second")

    thread = threading.Thread(target=other)
    thread.start()
    with sqlite_database.write() as session:
        session.execute(text("SELECT 1"))
        entered.set()
        time.sleep(0.2)
        # This would fail with SQLITE_BUSY_SNAPSHOT if the other had written meanwhile.
        ProjectRepository(session).create("first")
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_readers_see_one_state_and_do_not_wait_for_a_writer(database: Database) -> None:
    with database.read() as reader:
        assert ProjectRepository(reader).named("new") is None
        with database.write() as writer:
            ProjectRepository(writer).create("new")
        assert ProjectRepository(reader).named("new") is None
    with database.read() as reader:
        assert ProjectRepository(reader).named("new") is not None


def test_a_forked_child_has_connections_of_its_own(database: Database) -> None:
    database.ping()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            database.after_fork()
            with database.write() as session:
                ProjectRepository(session).create(f"forked {database.engine.dialect.name}")
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    with database.read() as session:
        assert ProjectRepository(session).named(f"forked {database.engine.dialect.name}") is not None


def test_a_database_that_is_away_is_said_to_be(tmp_path) -> None:
    from store.settings import Settings

    away = Database(Settings(data_dir=tmp_path, database_url="postgresql://stoker@127.0.0.1:1/none"))
    with pytest.raises(OperationalError):
        away.ping()


def test_freed_pages_go_back_to_the_file_system(sqlite_database: Database, tmp_path) -> None:
    file = tmp_path / "stoker.db"
    with sqlite_database.write() as session:
        session.execute(text("CREATE TABLE big (data BLOB)"))
        session.execute(text("INSERT INTO big VALUES (zeroblob(4000000))"))
    with sqlite_database.write() as session:
        session.execute(text("DELETE FROM big"))
    sqlite_database.reclaim(10_000)
    with sqlite_database.engine.connect() as connection:
        connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert file.stat().st_size < 1_000_000
