"""Lists: one page, or every object page after page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from stoker.transport import Transport
from stoker.types import Answer, Page

T = TypeVar("T", bound=Answer)


def page(transport: Transport, kind: type[T], path: str, **parameters: Any) -> Page[T]:
    """The objects after `after`, at most `limit`, newest first unless `order="asc"`."""
    document = transport.get(path, **parameters)
    data = [kind.from_json(item) for item in document["data"]]
    return Page(data, bool(document.get("has_more")), document.get("last_id"))


def every(transport: Transport, kind: type[T], path: str, **parameters: Any) -> Iterator[T]:
    """Every object, read page by page as it is needed."""
    after: str | None = parameters.pop("after", None)
    while True:
        found = page(transport, kind, path, after=after, **parameters)
        yield from found.data
        after = found.last_id
        if not found.has_more or after is None:
            return
