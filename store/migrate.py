"""Bringing a database to the tables this version of the program works with, and back.

Works from any working directory and when installed as a package. Several processes may start at once: one migrates, the
others wait and then find nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from store.errors import Conflict
from store.session import create_database_engine
from store.settings import Settings

WAIT_SECONDS = 300
ADVISORY_LOCK = 0x53746F6B6572  # "Stoker"


def upgrade(settings: Settings, revision: str = "head") -> None:
    """Migrate forward to `revision`. Does nothing if the database is there already."""
    with migrating(settings) as connection:
        command.upgrade(_config(connection), revision)


def downgrade(settings: Settings, revision: str) -> None:
    """Migrate back to `revision`; `base` removes every table."""
    with migrating(settings) as connection:
        command.downgrade(_config(connection), revision)


def current(settings: Settings) -> str | None:
    """The revision the database is at, or None if it has never been migrated."""
    engine = create_database_engine(settings.database_url, 1)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


def head() -> str | None:
    """The newest revision there is."""
    return ScriptDirectory(str(_directory())).get_current_head()


def revisions() -> list[str]:
    """All revisions, oldest first."""
    return [step.revision for step in ScriptDirectory(str(_directory())).walk_revisions()][::-1]


@contextmanager
def migrating(settings: Settings) -> Iterator[Connection]:
    """A connection that alone may change tables, in one transaction. Whoever comes second waits."""
    engine = create_database_engine(settings.database_url, 1)
    try:
        with (
            _alone_on_sqlite(engine) if engine.dialect.name == "sqlite" else _alone_on_postgresql(engine) as connection
        ):
            yield connection
    finally:
        engine.dispose()


@contextmanager
def _alone_on_sqlite(engine: Engine) -> Iterator[Connection]:
    with engine.execution_options(stoker_write=True).connect() as connection:
        cursor = connection.connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={WAIT_SECONDS * 1000}").fetchall()
        # A table that is rebuilt is dropped for a moment; what refers to it is checked at the end instead.
        cursor.execute("PRAGMA foreign_keys=OFF").fetchall()
        with connection.begin():
            yield connection
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise Conflict("broken_references", f"the migration left {len(broken)} rows that refer to nothing")


@contextmanager
def _alone_on_postgresql(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection, connection.begin():
        for setting in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
            connection.execute(text(f"SET LOCAL {setting} = '{WAIT_SECONDS}s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        yield connection


def _directory() -> Path:
    spec = find_spec("migrations")
    assert spec is not None and spec.origin is not None, "the migrations are not installed beside the store"
    return Path(spec.origin).parent


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_directory()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
