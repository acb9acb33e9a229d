"""Checkpoints."""

from __future__ import annotations

from typing import Literal

from api.schemas.base import Answer, Document, Time
from store.models import Checkpoint, Job


class CheckpointAnswer(Answer):
    """Weights at one step. `bytes` and `sha256` are those of the safetensors file."""

    id: str
    object: Literal["checkpoint"] = "checkpoint"
    job: str
    step: int
    epoch: int
    kind: Literal["best", "last", "periodic"]
    metrics: Document
    bytes: int
    sha256: str
    created_at: Time
    links: dict[str, str]


def to_checkpoint(row: Checkpoint, job: Job) -> CheckpointAnswer:
    """The answer for a row; `best` wins where the last is also the best."""
    kinds = {job.latest_checkpoint_id: "last", job.best_checkpoint_id: "best"}
    return CheckpointAnswer.model_construct(
        id=row.id,
        job=row.job_id,
        step=row.step,
        epoch=row.epoch,
        kind=kinds.get(row.id, "periodic"),
        metrics=row.metrics,
        bytes=row.size_bytes,
        sha256=row.sha256,
        created_at=row.created_at,
        links={
            "self": f"/v1/jobs/{row.job_id}/checkpoints/{row.id}",
            "weights": f"/v1/jobs/{row.job_id}/weights?checkpoint={row.id}",
        },
    )
