"""`client.models`: stored definitions and the dry run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stoker import paging
from stoker.transport import Transport
from stoker.types import JsonObject, Model

ROUTE = "/v1/models"


class Models:
    """The project's definitions."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, document: Mapping[str, Any], *, idempotency_key: str | None = None) -> Model:
        """Stores a definition, as POST /v1/models describes."""
        return Model.from_json(self._transport.create(ROUTE, dict(document), idempotency_key=idempotency_key))

    def validate(self, document: Mapping[str, Any]) -> JsonObject:
        """Layer shapes, parameters, FLOPs and planned memory, without storing anything."""
        return dict(self._transport.create(f"{ROUTE}/validate", dict(document)))

    def get(self, model_id: str) -> Model:
        """One stored definition."""
        return Model.from_json(self._transport.get(f"{ROUTE}/{model_id}"))

    def graph(self, model_id: str, *, stage: str | None = None) -> JsonObject:
        """Nodes and edges of the forward graph; `stage` may be `training` or `plan`."""
        return dict(self._transport.get(f"{ROUTE}/{model_id}/graph", stage=stage))

    def list(self, *, order: str | None = None) -> Iterator[Model]:
        """Every definition, newest first."""
        return paging.every(self._transport, Model, ROUTE, limit=100, order=order)
