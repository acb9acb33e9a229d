"""What all tables share: naming of constraints, portable column types, and the database's own clock in SQL."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, DateTime, Dialect, MetaData, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ColumnElement, FunctionElement
from sqlalchemy.types import TypeDecorator

Json = JSON(none_as_null=True)
"""Text on both databases: JSONB of PostgreSQL would reorder the keys of what users sent, and make 1e22 an integer."""


class Utc(TypeDecorator[datetime]):
    """A time in UTC, with its zone, on both databases."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive time: nobody could tell which zone it means."""
        if value is not None and value.tzinfo is None:
            raise ValueError("expected a time with a zone, received a naive one")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """SQLite gives no zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The root of all tables. Names of constraints are fixed, so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: Utc, dict[str, Any]: Json, list[Any]: Json}


class _Clock(FunctionElement[datetime]):
    """The database's clock, moved by some seconds; PostgreSQL's is that of the statement, not of the transaction."""

    type = Utc()
    inherit_cache = True
    name = "clock"


@compiles(_Clock, "postgresql")
def _clock_of_postgresql(element: _Clock, compiler: SQLCompiler, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"(clock_timestamp() + make_interval(secs => CAST({seconds} AS double precision)))"


@compiles(_Clock, "sqlite")
def _clock_of_sqlite(element: _Clock, compiler: SQLCompiler, **options: Any) -> str:
    # The text is the one SQLAlchemy writes for a datetime, so that stored and computed times compare as text.
    seconds = compiler.process(element.clauses, **options)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', ({seconds}) || ' seconds')"


def clock(offset_seconds: float = 0.0) -> ColumnElement[datetime]:
    """Now, by the database's clock, plus `offset_seconds`."""
    return _Clock(literal(float(offset_seconds)))


def utc_now() -> datetime:
    """Now, by this process's clock; for times that are shown to people and never compared with a lease."""
    return datetime.now(UTC)


def to_json_text(value: Any) -> str:
    """JSON that both databases take: NaN and infinities become null, NUL and lone surrogates a replacement."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        if "\\u0000" not in text:
            text.encode()
            return text
    except (ValueError, UnicodeEncodeError):
        pass
    return json.dumps(_storable(value), allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def storable_text(text: str) -> str:
    """`text` without what PostgreSQL refuses in a text: NUL and lone surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _storable(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, dict):
        return {storable_text(str(key)): _storable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(entry) for entry in value]
    return value
