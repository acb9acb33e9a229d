"""`client.models`: stored definitions, models with weights, and the dry run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from stoker import paging
from stoker.transport import Transport
from stoker.types import JsonObject, Model
from stoker.upload import Watched, content_type

ROUTE = "/v1/models"


class Models:
    """The project's definitions."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, document: Mapping[str, Any], *, idempotency_key: str | None = None) -> Model:
        """Stores a definition, as POST /v1/models describes."""
        return Model.from_json(self._transport.create(ROUTE, dict(document), idempotency_key=idempotency_key))

    def upload(
        self,
        file: str | Path,
        *,
        name: str | None = None,
        definition: Mapping[str, Any] | None = None,
        progress: Callable[[int, int | None], None] | None = None,
        idempotency_key: str | None = None,
    ) -> Model:
        """Stores a model with its weights: a job whose `model` is its id starts from them.

        `file` is a `.keras` or `.onnx` file, or weights alone (`.weights.h5`, `.safetensors`, `.npz`) with their
        `definition`. `progress` receives bytes sent and in total.
        """
        file = Path(file)
        with file.open("rb") as opened:
            content = Watched(opened, file.stat().st_size, progress) if progress else opened
            called = name or file.name.partition(".")[0]
            return self.send(
                content, file.name, name=called, definition=definition, idempotency_key=idempotency_key
            )

    def send(
        self,
        content: BinaryIO | Watched,
        filename: str,
        *,
        name: str | None = None,
        definition: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Model:
        """As `upload`, for a file that is open already, or in memory."""
        fields = {"name": name or filename}
        if definition is not None:
            fields["definition"] = json.dumps(dict(definition))
        part = (filename, content, content_type(Path(filename)))
        return Model.from_json(self._transport.upload(ROUTE, fields, part, idempotency_key=idempotency_key))

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
