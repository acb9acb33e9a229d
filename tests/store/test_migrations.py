from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

import store.models
from store import migrate
from store.base import Base
from store.session import Database
from store.settings import Settings
from tests.postgres import PostgresServer
from tests.store.rows import fill_every_table

assert store.models


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """A database that no migration has touched."""
    if request.param == "sqlite":
        yield Settings(data_dir=tmp_path)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.create_database("migrations")
    yield Settings(data_dir=tmp_path, database_url=url)
    server.drop_database("migrations")


def test_migrations_and_models_do_not_drift(settings: Settings) -> None:
    migrate.upgrade(settings)
    with migrate.migrating(settings) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(context, Base.metadata) == []


def test_up_down_and_up_again_with_data(settings: Settings) -> None:
    assert migrate.current(settings) is None
    migrate.upgrade(settings)
    assert migrate.current(settings) == migrate.head()
    _fill(settings)
    migrate.upgrade(settings)  # nothing to do, nothing lost
    assert min(_counts(settings).values()) >= 1
    migrate.downgrade(settings, "base")
    assert migrate.current(settings) is None
    assert _tables(settings) == {"alembic_version"}
    migrate.upgrade(settings)
    assert set(_counts(settings).values()) == {0}
    _fill(settings)


def test_every_step_back_and_forth_keeps_the_data_it_can(settings: Settings) -> None:
    migrate.upgrade(settings)
    _fill(settings)
    revisions = migrate.revisions()
    for older in [*revisions[-2::-1], "base"]:
        migrate.downgrade(settings, older)
    for newer in revisions:
        migrate.upgrade(settings, newer)
    assert migrate.current(settings) == migrate.head()


def test_many_processes_migrate_at_once_from_anywhere(settings: Settings, tmp_path: Path) -> None:
    program = (
        "from store import migrate; from store.settings import Settings; migrate.upgrade(Settings.from_environment())"
    )
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, **settings.to_environment(), "PYTHONPATH": root}
    processes = [
        subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in processes:
        _, error = process.communicate(timeout=60)
        assert process.returncode == 0, error.decode()
    assert migrate.current(settings) == migrate.head()


def test_a_failed_migration_leaves_nothing_behind(settings: Settings) -> None:
    with pytest.raises(RuntimeError, match="broken"), migrate.migrating(settings) as connection:
        connection.execute(text("CREATE TABLE half (id INTEGER)"))
        raise RuntimeError("broken")
    assert _tables(settings) == set()


def test_the_alembic_command_finds_its_way(settings: Settings, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    environment = {**os.environ, **settings.to_environment()}
    command = [sys.executable, "-m", "alembic", "-c", str(root / "alembic.ini"), "upgrade", "head"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert migrate.current(settings) == migrate.head()


def _fill(settings: Settings) -> None:
    database = Database(settings)
    fill_every_table(database)
    database.close()


def _counts(settings: Settings) -> dict[str, int]:
    with migrate.migrating(settings) as connection:
        return {name: connection.scalar(text(f"SELECT count(*) FROM {name}")) or 0 for name in Base.metadata.tables}


def _tables(settings: Settings) -> set[str]:
    with migrate.migrating(settings) as connection:
        return set(inspect(connection).get_table_names())
