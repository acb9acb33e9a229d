"""Jobs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from api.schemas.base import Answer, Body, Document, Id, Metadata, Name, Time
from store.models import Job
from store.states import TERMINAL

JobStatus = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
SPEC_BLOCKS = ("model", "data", "training", "checkpoints", "resources")


class JobCreate(Body):
    """A training job. The catalogue lists what the blocks may name, with options and defaults."""

    name: Name = "job"
    model: Annotated[
        Any,
        Field(
            description="a definition (native, or Keras 3's JSON as it is), a stored model's id, "
            'or `{"from_job": "job_…", "checkpoint": "best"}` or `{"from_model": "mdl_…"}` to start from weights, '
            'with a `definition` of its own and `"weights": "matching"` to take those that fit'
        ),
    ]
    dataset: Id
    data: Document = Field(default_factory=dict)
    training: Document = Field(default_factory=dict)
    checkpoints: Document = Field(default_factory=dict)
    resources: Document = Field(default_factory=dict)
    metadata: Metadata = Field(default_factory=dict)


class JobPatch(Body):
    """What a clone changes: a merge patch (RFC 7396) of the job's body.

    Objects are merged, null removes, everything else replaces. `model` replaces as a whole, and so does an object
    whose `type` differs from the one before.
    """

    name: Name | None = None
    model: Any = None
    dataset: Id | None = None
    data: Document | None = None
    training: Document | None = None
    checkpoints: Document | None = None
    resources: Document | None = None
    metadata: Document | None = None


class JobAnswer(Answer):
    """A job with its spec as it was understood, defaults filled in."""

    id: str
    object: Literal["job"] = "job"
    name: str
    status: JobStatus
    is_terminal: bool
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    cancel_requested_at: Time | None
    pause_requested_at: Time | None
    attempt: int
    progress: Document | None
    metrics: Document
    error: Document | None
    model: Document
    model_id: str | None
    initial_weights: Document | None
    dataset: str | None
    data: Document
    training: Document
    checkpoints: Document
    resources: Document
    warnings: list[str]
    metadata: dict[str, str]
    links: dict[str, str]


def to_job(row: Job) -> JobAnswer:
    """The answer for a row."""
    path = f"/v1/jobs/{row.id}"
    spec = row.spec
    return JobAnswer.model_construct(
        id=row.id,
        name=row.name,
        status=row.status,
        is_terminal=row.status in TERMINAL,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        cancel_requested_at=row.cancel_requested_at,
        pause_requested_at=row.pause_requested_at,
        attempt=row.attempt,
        progress=row.progress,
        metrics={"latest": {}, "best": None, **(row.metrics or {})},
        error=row.error,
        model=spec["model"],
        model_id=row.model_id,
        initial_weights=spec.get("initial_weights"),
        dataset=row.dataset_id,
        data=spec["data"],
        training=spec["training"],
        checkpoints=spec["checkpoints"],
        resources=spec["resources"],
        warnings=spec.get("warnings", []),
        metadata=row.labels,
        links={"self": path, **{name: f"{path}/{name}" for name in ("events", "metrics", "checkpoints", "weights")}},
    )
