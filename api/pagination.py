"""List pages: `after`, `limit` and `order` in the query, `first_id`, `last_id` and `has_more` in the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Query

from api.errors import invalid
from store.ids import is_id

Order = Literal["asc", "desc"]


@dataclass(frozen=True)
class PageQuery:
    """What a client asked of a list. `after` is still to be checked against the list's kind of id."""

    after: str | None
    limit: int
    order: Order

    def cursor(self, kind: str) -> str | None:
        """`after`, made sure to be an id of `kind`. Raises Problem."""
        if self.after is not None and not is_id(kind, self.after):
            detail = f"expected the id of a {kind}, received something else"
            raise invalid(detail, parameter="after", code="invalid_cursor")
        return self.after


def page_query(
    after: Annotated[str | None, Query(description="id of the last object of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="objects on a page")] = 20,
    order: Annotated[Order, Query(description="by creation; `desc` begins with the newest")] = "desc",
) -> PageQuery:
    """The parameters of every list."""
    return PageQuery(after, limit, order)


def oldest_first_query(
    after: Annotated[str | None, Query(description="id of the last object of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="objects on a page")] = 100,
    order: Annotated[Order, Query(description="by creation; `asc` begins with the oldest")] = "asc",
) -> PageQuery:
    """The parameters of a list that is read as a story."""
    return PageQuery(after, limit, order)


Paging = Annotated[PageQuery, Depends(page_query)]
PagingOldestFirst = Annotated[PageQuery, Depends(oldest_first_query)]
