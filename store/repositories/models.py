"""Stored model definitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.errors import NotFound
from store.ids import new_id
from store.models import Model
from store.repositories.labels import has_labels
from store.repositories.pages import Order, Page, read_page


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
    ) -> Model:
        """A new model."""
        model = Model(
            id=new_id("model"),
            project_id=project_id,
            name=name,
            labels=dict(labels or {}),
            definition=dict(definition),
            summary=dict(summary) if summary is not None else None,
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
