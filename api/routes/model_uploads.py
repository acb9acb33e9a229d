"""Model files: the same path as definitions, told apart by the media type."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

import engine
from api import json_body
from api.auth import Caller
from api.deps import TheCaller, TheService
from api.errors import from_definition, invalid
from api.idempotency import Once, TheOnce, Write
from api.multipart import Form, read_form
from api.route import StrictRoute
from api.schemas.models import ModelAnswer, to_model
from api.service import Service
from api.uploads import FileSink, check_room, check_size, read_name
from engine import inspect
from engine.errors import DefinitionError, WeightsError
from store.blobs import BlobWriter
from store.repositories import ModelRepository
from store.repositories.models import PostedWeights

FIELDS = ("name", "definition")
PIECE_BYTES = 1024 * 1024
MULTIPART = "multipart/form-data"
UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "content": {
            MULTIPART: {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": ".keras, .onnx, .weights.h5, .safetensors or .npz",
                        },
                        "name": {"type": "string", "description": "by default the file's"},
                        "definition": {
                            "type": "string",
                            "description": "a definition as JSON; required for files with weights alone",
                        },
                    },
                }
            }
        }
    }
}


class MultipartRoute(StrictRoute):
    """Takes the requests that bring a form, and leaves the others to the routes after it."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As Starlette's, for forms only."""
        types = (value for name, value in scope.get("headers", ()) if name == b"content-type")
        if not next(types, b"").strip().lower().startswith(MULTIPART.encode()):
            return Match.NONE, {}
        return super().matches(scope)


router = APIRouter(prefix="/models", tags=["models"], route_class=MultipartRoute)


@router.post("", status_code=201, response_model=ModelAnswer, openapi_extra=UPLOAD_BODY, include_in_schema=False)
async def upload_model(request: Request, service: TheService, caller: TheCaller, once: TheOnce) -> Response:
    """Keep a model with its weights (multipart); jobs that name it start from them."""
    await run_in_threadpool(check_room, service, caller, request.headers.get("content-length", ""))
    with tempfile.TemporaryDirectory(prefix="stoker-model-") as folder:
        file = Path(folder, "file")
        sink = FileSink(file)
        try:
            form = await read_form(request, sink, file="file", fields=FIELDS, field_bytes=service.settings.body_bytes)
        finally:
            sha256 = await run_in_threadpool(sink.close)
        return await run_in_threadpool(_finish, service, caller, once, form, file, sha256)


def _finish(service: Service, caller: Caller, once: Once, form: Form, file: Path, sha256: str) -> Response:
    check_size(form, service.settings.model_bytes)
    name = read_name(form, "model")
    writer: BlobWriter | None = None

    def prepare() -> Write:
        nonlocal writer
        start = _read(file, form.fields)
        summary = inspect.summary(start.model)
        taken = file.with_name("weights")
        engine.write_start(start, taken)
        writer = BlobWriter(service.database, owner=f"model of {caller.project_id}")
        with taken.open("rb") as source:
            while piece := source.read(PIECE_BYTES):
                writer.write(piece)
        writer.flush()
        posted = PostedWeights(start.format, form.file_bytes, sha256, writer)
        definition = start.model.to_json()
        return lambda session: to_model(
            ModelRepository(session).create(
                caller.project_id,
                name=name,
                definition=definition,
                summary=summary,
                weights=posted,
                bytes_limit=service.settings.project_bytes,
            )
        )

    try:
        return once.answer(201, {**form.fields, "filename": form.filename, "sha256": sha256}, prepare)
    finally:
        if writer is not None and not writer.committed:
            writer.abort()


def _read(file: Path, fields: Mapping[str, str]) -> engine.Starting:
    """The file's model and weights. Raises Problem."""
    definition = None
    if "definition" in fields:
        definition = json_body.parse(
            fields["definition"].encode(), pointer="/definition", what="JSON in the part definition"
        )
    try:
        return engine.read_start(file, definition)
    except DefinitionError as error:
        raise from_definition(error) from None
    except WeightsError as error:
        raise invalid(str(error), parameter="file", code="invalid_weights") from None
