"""Reading a list page by page: ids are in order of creation, so an id is the cursor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

Order = Literal["asc", "desc"]
Row = TypeVar("Row")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows in the order asked for, and whether there are more behind them."""

    rows: list[Row]
    has_more: bool


def read_page(
    session: Session,
    statement: Select[Row],
    cursor: InstrumentedAttribute[Any],
    *,
    after: str | int | None,
    limit: int,
    order: Order,
) -> Page[Row]:
    """At most `limit` rows of `statement` that come after `after` in the order of the column `cursor`."""
    if after is not None:
        statement = statement.where(cursor > after if order == "asc" else cursor < after)
    ordered = statement.order_by(cursor.asc() if order == "asc" else cursor.desc()).limit(limit + 1)
    rows: list[Row] = list(session.scalars(ordered))
    return Page(rows[:limit], len(rows) > limit)
