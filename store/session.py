"""One database for a process: two kinds of session, each one transaction.

A read session begins with BEGIN. A write session begins with BEGIN IMMEDIATE on SQLite, because a transaction that
starts by reading and then writes fails at once when another process has written meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.orm import Session, sessionmaker

from store.base import to_json_text
from store.errors import UnsafeSqlite
from store.settings import Settings

BUSY_MILLISECONDS = 10_000
POSTGRESQL_OPTIONS = (
    "-c statement_timeout=60000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=60000 -c timezone=UTC"
)
READ_OPTIONS: dict[str, dict[str, Any]] = {
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
}


class Database:
    """Sessions on the settings' database. Safe for threads; after a fork, the child calls `after_fork` first."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = create_database_engine(settings.database_url, settings.database_pool)
        reading = self.engine.execution_options(**READ_OPTIONS.get(self.engine.dialect.name, {}))
        self._read = sessionmaker(reading, expire_on_commit=False)
        self._write = sessionmaker(self.engine.execution_options(stoker_write=True), expire_on_commit=False)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the database and cannot write."""
        with self._read() as session:
            yield session  # closing rolls back and, unlike rollback(), leaves what was read usable

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that commits at the end, or leaves nothing behind if an exception passes."""
        with self._write() as session, session.begin():
            yield session

    def ping(self) -> None:
        """One round trip. Raises SQLAlchemy's OperationalError if the database does not answer."""
        with self.read() as session:
            session.execute(text("SELECT 1"))

    def reclaim(self, pages: int = 2000) -> None:
        """Give some of the pages that deletions freed back to the file system. Nothing to do on PostgreSQL."""
        if self.engine.dialect.name == "sqlite":
            with self.engine.connect() as connection:
                cursor = connection.connection.cursor()
                cursor.execute("PRAGMA query_only=OFF")
                cursor.execute(f"PRAGMA incremental_vacuum({int(pages)})")
                cursor.fetchall()

    def after_fork(self) -> None:
        """Forget the parent's connections without closing them: they are still the parent's."""
        self.engine.dispose(close=False)

    def close(self) -> None:
        """Close all idle connections."""
        self.engine.dispose()


def create_database_engine(url: str, pool_size: int = 10) -> Engine:
    """An engine with the settings that RELIABILITY asks for. Raises UnsafeSqlite, ValueError for another database."""
    parsed = make_url(url)
    match parsed.get_backend_name():
        case "sqlite":
            return _sqlite(url, pool_size)
        case "postgresql":
            return _postgresql(url, pool_size)
        case other:
            raise ValueError(f"STOKER_DATABASE_URL: expected sqlite:// or postgresql://, received {other}://")


def refuse_unsafe_sqlite(version: tuple[int, ...]) -> None:
    """SQLite 3.7.0 to 3.51.2 can lose committed pages when two processes reset the write-ahead log."""
    if (3, 7, 0) <= version <= (3, 51, 2):
        raise UnsafeSqlite(f"SQLite {'.'.join(map(str, version))} has the WAL-reset bug; 3.51.3 or newer is needed")


def _postgresql(url: str, pool_size: int) -> Engine:
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=2 * pool_size,
        pool_pre_ping=True,
        pool_recycle=1800,
        json_serializer=to_json_text,
        connect_args={"connect_timeout": 10, "options": POSTGRESQL_OPTIONS},
    )
    event.listen(engine, "before_cursor_execute", _choose_format)
    return engine


def _choose_format(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
) -> None:
    """A statement with the option `stoker_binary` gets its result as bytes: in text, a chunk travels as hexadecimal."""
    if context is not None and context.execution_options.get("stoker_binary"):
        from psycopg.pq import Format

        cursor.format = Format.BINARY


def _sqlite(url: str, pool_size: int) -> Engine:
    from pysqlite3 import dbapi2

    refuse_unsafe_sqlite(dbapi2.sqlite_version_info)
    parsed = make_url(url).set(drivername="sqlite+pysqlite")
    if parsed.database in (None, "", ":memory:"):
        raise ValueError("STOKER_DATABASE_URL: expected sqlite:///FILE, received a database without a file")
    Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        parsed,
        module=dbapi2,
        pool_size=pool_size,
        max_overflow=2 * pool_size,
        json_serializer=to_json_text,
        connect_args={"timeout": BUSY_MILLISECONDS / 1000, "check_same_thread": False},
    )
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, record: object) -> None:
    # Without this pysqlite begins transactions by its own rules and BEGIN IMMEDIATE would be refused.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_MILLISECONDS}",
        "auto_vacuum=INCREMENTAL",  # takes effect only before the first table, so it stands before WAL
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}").fetchall()
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("stoker_write", False)
    connection.exec_driver_sql("PRAGMA query_only=OFF" if writes else "PRAGMA query_only=ON")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
