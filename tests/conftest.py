"""For all tests: databases (SQLite in a file, a real PostgreSQL), a whole server, and how a run is shared out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_server import LocalServer

from store import migrate
from store.session import Database
from store.settings import Settings
from tests.postgres import PostgresServer, postgres_server
from tests.two_processes import ByFile, begin_with_the_longest

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first."""
    begin_with_the_longest(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    """Used with `--numprocesses`."""
    return ByFile(config, log)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for the whole run, started when the first test asks for it."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def service() -> Iterator[LocalServer]:
    """A whole server, `stokerd up` on a free port, for the whole run; stops cleanly and leaves no process, or fails."""
    with LocalServer() as server:
        yield server


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """A migrated SQLite database of the test's own."""
    yield from _database(Settings(data_dir=tmp_path))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty database, once on SQLite and once on PostgreSQL, one a test module."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'stoker.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"test{next(_numbers)}"
    yield server.create_database(name)
    server.drop_database(name)


@pytest.fixture(scope="module")
def database(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A migrated database, once on SQLite and once on PostgreSQL, shared by a module."""
    yield from _database(Settings(data_dir=tmp_path_factory.mktemp("data"), database_url=database_url))


def _database(settings: Settings) -> Iterator[Database]:
    migrate.upgrade(settings)
    database = Database(settings)
    yield database
    database.close()
