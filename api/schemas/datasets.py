"""Datasets."""

from __future__ import annotations

from typing import Literal

from api.schemas.base import Answer, Document, Time
from store.models import Dataset
from store.states import PROCESSING


class DatasetAnswer(Answer):
    """An uploaded dataset; what is known of its content is null until it is `ready`."""

    id: str
    object: Literal["dataset"] = "dataset"
    name: str
    version: int
    status: Literal["processing", "ready", "failed"]
    created_at: Time
    finished_at: Time | None
    format: str | None
    examples: int | None
    bytes: int
    sha256: str
    features: list[Document] | None
    target: str | None
    classes: list[str] | None
    splits: Document | None
    progress: Document | None
    warnings: list[str | Document]
    error: Document | None
    links: dict[str, str]


class ProfileAnswer(Answer):
    """Statistics by column: counts, missing values, ranges, examples of each class."""

    object: Literal["dataset.profile"] = "dataset.profile"
    dataset: str
    examples: int
    columns: Document


class PreviewAnswer(Answer):
    """The first examples."""

    object: Literal["list"] = "list"
    dataset: str
    data: list[Document]


def to_dataset(row: Dataset) -> DatasetAnswer:
    """The answer for a row."""
    manifest = row.manifest or {}
    path = f"/v1/datasets/{row.id}"
    return DatasetAnswer.model_construct(
        id=row.id,
        name=row.name,
        version=row.version,
        status=row.status,
        created_at=row.created_at,
        finished_at=row.finished_at,
        format=manifest.get("format", row.format),
        examples=manifest.get("examples"),
        bytes=row.size_bytes,
        sha256=row.sha256,
        features=manifest.get("features"),
        target=manifest.get("target"),
        classes=manifest.get("classes"),
        splits=manifest.get("splits"),
        progress=row.progress if row.status == PROCESSING else None,
        warnings=manifest.get("warnings", []),
        error=row.error,
        links={"self": path, "profile": f"{path}/profile", "preview": f"{path}/preview"},
    )
