"""The shape of a refusal (RFC 9457)."""

from __future__ import annotations

from pydantic import Field

from api.schemas.base import Answer


class FaultAnswer(Answer):
    """One place of the request: `pointer` into its body, or `parameter` for a query parameter, form part or header."""

    pointer: str | None = Field(default=None, description="JSON Pointer (RFC 6901)")
    parameter: str | None = None
    detail: str


class ProblemAnswer(Answer):
    """`code` is stable and for programs, `detail` is for people; `request_id` finds the request in the server's log."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FaultAnswer] = Field(default_factory=list)
    request_id: str
