"""What bodies and answers share: unknown fields refused, plain text only, and the shape of a list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

MAXIMUM_PAIRS = 16


def _printable(maximum: int) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not 1 <= len(text) <= maximum or not text.isprintable():
            raise ValueError(f"expected a string of 1 to {maximum} printable characters")
        return text

    return check


def _few_pairs(pairs: dict[str, str]) -> dict[str, str]:
    if len(pairs) > MAXIMUM_PAIRS:
        raise ValueError(f"expected at most {MAXIMUM_PAIRS} pairs")
    return pairs


def _rfc3339(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Name = Annotated[str, AfterValidator(_printable(200))]
Id = Annotated[str, Field(max_length=64)]
Metadata = Annotated[
    dict[Annotated[str, AfterValidator(_printable(64))], Annotated[str, AfterValidator(_printable(512))]],
    AfterValidator(_few_pairs),
    Field(description=f"the user's own tags, {MAXIMUM_PAIRS} pairs of text at most"),
]
Time = Annotated[datetime, PlainSerializer(_rfc3339, return_type=str)]
Document = dict[str, Any]


class Body(BaseModel):
    """A request's body: JSON types are taken as they are, and what is not known is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Answer(BaseModel):
    """An object in a response."""

    model_config = ConfigDict(protected_namespaces=())


Item = TypeVar("Item", bound=Answer)


class Listing(Answer, Generic[Item]):
    """A page of a list."""

    object: Literal["list"] = "list"
    data: list[Item]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, items: Iterable[Item], *, has_more: bool) -> Listing[Item]:
        """A page whose cursors are the ids of its first and last item."""
        data = list(items)
        ids = [str(getattr(item, "id")) for item in data]  # noqa: B009
        return cls(data=data, first_id=ids[0] if ids else None, last_id=ids[-1] if ids else None, has_more=has_more)
