"""Finding rows by the user's tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, String, and_, cast, column, exists, func, literal, select, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import InstrumentedAttribute, Session


def has_labels(
    session: Session, stored: InstrumentedAttribute[dict[str, Any]], wanted: Mapping[str, str]
) -> ColumnElement[bool]:
    """Whether `stored` holds every pair of `wanted`. Keys are compared as values, never put into a JSON path."""
    if not wanted:
        return true()
    if session.get_bind().dialect.name == "postgresql":
        return cast(stored, JSONB).op("@>", is_comparison=True)(literal(dict(wanted), JSONB))
    return and_(*(_has_label(stored, key, value) for key, value in wanted.items()))


def _has_label(stored: InstrumentedAttribute[dict[str, Any]], key: str, value: str) -> ColumnElement[bool]:
    entries = func.json_each(stored).table_valued(column("key", String), column("value", String))
    return exists(select(1).select_from(entries).where(entries.c.key == key, entries.c.value == value))
