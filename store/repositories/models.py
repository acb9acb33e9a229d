"""Stored model definitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.blobs import BlobWriter
from store.errors import NotFound
from store.ids import new_id
from store.models import Model
from store.repositories.labels import has_labels
from store.repositories.pages import Order, Page, read_page
from store.repositories.projects import ProjectRepository


@dataclass(frozen=True)
class PostedWeights:
    """A model file: its format, size and SHA-256, and its weights as training takes them, written and flushed."""

    format: str
    size_bytes: int
    sha256: str
    content: BlobWriter


class ModelRepository:
    """A project's models."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def create(
        self,
        project_id: str,
        *,
        name: str,
        definition: Mapping[str, Any],
        summary: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
        weights: PostedWeights | None = None,
        bytes_limit: int | None = None,
    ) -> Model:
        """A new model, with the weights it was posted with. Raises QuotaExceeded, BlobGone, CorruptBlob."""
        posted: dict[str, Any] = {}
        if weights is not None:
            projects = ProjectRepository(self.session)
            projects.lock(project_id)
            if bytes_limit is not None:
                projects.check_bytes(project_id, weights.content.size_bytes, bytes_limit)
            posted = {
                "weights_format": weights.format,
                "weights_bytes": weights.size_bytes,
                "weights_sha256": weights.sha256,
                "weights_blob": weights.content.commit(self.session).id,
            }
        model = Model(
            id=new_id("model"),
            project_id=project_id,
            name=name,
            labels=dict(labels or {}),
            definition=dict(definition),
            summary=dict(summary) if summary is not None else None,
            **posted,
        )
        self.session.add(model)
        self.session.flush()
        return model

    def get(self, project_id: str, id: str) -> Model:
        """Raises NotFound, also for a model of another project."""
        model = self.session.scalar(select(Model).where(Model.id == id, Model.project_id == project_id))
        if model is None:
            raise NotFound("model", id)
        return model

    def find(self, id: str) -> Model | None:
        """The model, of any project; for workers."""
        return self.session.get(Model, id)

    def page(
        self,
        project_id: str,
        *,
        after: str | None = None,
        limit: int = 20,
        order: Order = "desc",
        labels: Mapping[str, str] | None = None,
    ) -> Page[Model]:
        """A page of the project's models, with all the `labels` if given."""
        wanted = has_labels(self.session, Model.labels, labels or {})
        statement = select(Model).where(Model.project_id == project_id, wanted)
        return read_page(self.session, statement, Model.id, after=after, limit=limit, order=order)
